// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles the parts of `roost/beast/tls.hpp` that are compiled once. Needed besides
/// `roost/src.hpp` and `roost/beast/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/beast/tls.hpp"
#include "roost/beast/transport/tls_transport.ipp"
