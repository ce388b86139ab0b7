// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// For those who want shorter builds: define `ROOST_SEPARATE_COMPILATION` for every file of a
/// program, and include this in exactly one of them, with `roost/beast/tls_src.hpp` if TLS is used.

#include "roost/beast/src.hpp"
