// SPDX-License-Identifier: MIT
#pragma once

/// Header-only unless `ROOST_SEPARATE_COMPILATION` is defined, for every file of a program: then
/// what is no template is compiled once, by the one file that includes `roost/src.hpp`.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_DECL
#else
#define ROOST_DECL inline
#endif
