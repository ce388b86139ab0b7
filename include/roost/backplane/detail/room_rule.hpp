// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// Whether a rule for @p rooms, a name or a prefix followed by `*`, matches @p room.
[[nodiscard]] constexpr bool matches_rule(std::string_view rooms, std::string_view room) noexcept {
  return rooms.ends_with('*') ? room.starts_with(rooms.substr(0, rooms.size() - 1)) : room == rooms;
}

/// Checks the field `rooms` of a rule.
/// @param name   of the rule
/// @par Errors  `errc::invalid_option`.
inline void check_rule_rooms(std::string_view rooms, const std::string& name) {
  check_option(!rooms.empty() && is_utf8(rooms) && !has_control(rooms),
               (name + ".rooms must be text without control characters, not empty").c_str());
  check_option(rooms.find('*') >= rooms.size() - 1,
               (name + ".rooms may have a * at its end only").c_str());
}

}  // namespace roost::detail
