// SPDX-License-Identifier: MIT
#pragma once

/// The parts of `roost/beast/tls.hpp` that are no templates, for the same file or another one.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/beast/impl/tls_transport.ipp"
