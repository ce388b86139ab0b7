// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/detail/room_rule.hpp"
#include "roost/backplane/history.hpp"
#include "roost/base/error.hpp"

namespace roost::detail {

ROOST_DECL void check_rule(const HistoryRule& rule, const HistoryOptions& options,
                           const std::string& name) {
  const auto check = [&](bool ok, const char* what) { check_option(ok, (name + what).c_str()); };
  check_rule_rooms(rule.rooms, name);
  check(rule.max_messages >= 1 && rule.max_messages <= 10'000, ".max_messages must be 1 to 10000");
  check(rule.max_bytes >= 4096 && rule.max_bytes <= 67'108'864,
        ".max_bytes must be 4096 to 67108864");
  check(rule.max_age >= std::chrono::seconds(1) && rule.max_age <= std::chrono::hours(7 * 24),
        ".max_age must be 1 second to 7 days");
  check_option(options.position_age > rule.max_age,
               ("position_age must be above " + name + ".max_age").c_str());
}

ROOST_DECL void check_history(const HistoryOptions& options) {
  check_option(options.rules.size() <= 64, "rules must be at most 64");
  check_option(options.position_age <= std::chrono::hours(24 * 365),
               "position_age must be at most a year");
  check_option(options.max_rooms >= 1, "max_rooms must be at least 1");
  for (std::size_t i = 0; i < options.rules.size(); ++i) {
    check_rule(options.rules[i], options, "rules[" + std::to_string(i) + "]");
  }
}

ROOST_DECL const HistoryRule* find_rule(const HistoryOptions& options,
                                        std::string_view room) noexcept {
  for (const HistoryRule& rule : options.rules) {
    if (matches_rule(rule.rooms, room)) return &rule;
  }
  return nullptr;
}

}  // namespace roost::detail
