// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

// Header-only unless `ROOST_SEPARATE_COMPILATION` is defined, for every file of a program: then
// what is no template is compiled once, by the one file that includes `roost/src.hpp`.

/// Put before the definition of a function that is not a template, in an `.ipp` file.
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

namespace roost::detail {

/// Asks for memory that will be needed soon: a walk over thousands of connections waits for little
/// else. The bytes need not be there to be asked for.
template <std::size_t bytes = 1>
void prefetch([[maybe_unused]] const void* memory) noexcept {
#if defined(__GNUC__)
  constexpr std::size_t cache_line = 64;
  for (std::size_t i = 0; i < bytes; i += cache_line) {
    __builtin_prefetch(static_cast<const char*>(memory) + i, /*for writing*/ 1);
  }
#endif
}

}  // namespace roost::detail
