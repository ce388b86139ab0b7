// SPDX-License-Identifier: MIT
#pragma once

// Header-only unless `ROOST_SEPARATE_COMPILATION` is defined, for every file of a program: then
// what is no template is compiled once, by the one file that includes `roost/src.hpp`.

/// Before the definition of a function that is no template, in an `.ipp` file.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_DECL
#else
#define ROOST_DECL inline
#endif

/// Before the declaration of one that is expensive to compile, and before its definition. g++
/// compiles a coroutine that it sees in a header in every file, and instantiates what any function
/// there uses, whether it is used or not. Templates wait for their first use.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_WHEN_USED
#define ROOST_WHEN_USED_DEF
#else
#define ROOST_WHEN_USED template <class = void>
#define ROOST_WHEN_USED_DEF template <class>
#endif
