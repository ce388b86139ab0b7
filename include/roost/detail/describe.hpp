// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <string>

namespace roost::detail {

/// What an exception says, for a log or an error message.
[[nodiscard]] inline std::string describe(const std::exception_ptr& error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace roost::detail
