// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// 128 random bits from the system's generator as 32 hex digits: nobody can guess another's id.
ROOST_WHEN_USED [[nodiscard]] std::string random_id();

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/random_id.ipp"
#endif
