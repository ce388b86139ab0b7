// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "roost/detail/config.hpp"

namespace roost::detail {

/// Appends @p text as a JSON string, as nlohmann/json writes it. @pre it is UTF-8
void append_json_string(std::string& out, std::string_view text);

/// What a JSON string says. @pre `JsonScanner` took it: its quotes are there, its escapes are whole
[[nodiscard]] std::string json_string_value(std::string_view quoted);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/impl/json_string.ipp"
#endif
