// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

void validate_room_name(std::string_view name, std::size_t max_bytes);

void validate_connection_id(std::string_view id);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/validate_names.ipp"
#endif
