// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

// roost is header-only unless `ROOST_SEPARATE_COMPILATION` is defined for every file of a program.
// Then functions that are not templates are compiled once, in the file that includes
// `roost/src.hpp`.

/// Precedes the definition of each function in an `.ipp` file that is not a template.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_DECL
#else
#define ROOST_DECL inline
#endif

/// Precedes the declaration of a function that is expensive to compile; `ROOST_WHEN_USED_DEF`
/// precedes its definition. They make it a template, which is compiled at its first use. g++ would
/// otherwise compile every coroutine in a header, and instantiate what each function there calls,
/// in every file that includes the header, used or not. For internal functions only: a public
/// function is the same kind of function in both kinds of build.
#if defined(ROOST_SEPARATE_COMPILATION)
#define ROOST_WHEN_USED
#define ROOST_WHEN_USED_DEF
#else
#define ROOST_WHEN_USED template <class = void>
#define ROOST_WHEN_USED_DEF template <class>
#endif

namespace roost::detail {

/// Prefetches memory that will be written soon. A loop over thousands of connections spends most of
/// its time waiting for memory. The address need not be valid.
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
