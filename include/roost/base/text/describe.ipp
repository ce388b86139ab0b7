// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/describe.hpp"

namespace roost::detail {

ROOST_DECL std::string describe(const std::exception_ptr& error) {
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
