// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <string>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// What an exception says, for a log or an error message.
[[nodiscard]] std::string describe(const std::exception_ptr& error);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/describe.ipp"
#endif
