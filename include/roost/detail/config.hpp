// SPDX-License-Identifier: MIT
#pragma once

/// Header-only unless `ROOST_SEPARATE_COMPILATION` is defined, for every file of a program: then
/// what is no template is compiled once, by the one file that includes `roost/src.hpp`.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_DECL
#else
#define ROOST_DECL inline
#endif

/// Before a coroutine that is no template: g++ compiles those that it sees in a header in every
/// file, with all that they use, whether they are used or not. Templates it compiles on use.
#define ROOST_WHEN_USED template <class = void>
