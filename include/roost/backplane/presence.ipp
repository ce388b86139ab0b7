// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/detail/room_rule.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/base/error.hpp"

namespace roost::detail {

ROOST_DECL void check_presence(const PresenceOptions& options) {
  check_option(options.rules.size() <= 64, "rules must be at most 64");
  for (std::size_t i = 0; i < options.rules.size(); ++i) {
    const PresenceRule& rule = options.rules[i];
    const std::string name = "rules[" + std::to_string(i) + "]";
    const auto check = [&](bool ok, const char* what) { check_option(ok, (name + what).c_str()); };
    check_rule_rooms(rule.rooms, name);
    check(rule.max_listed >= 1 && rule.max_listed <= 10'000, ".max_listed must be 1 to 10000");
    check(rule.linger >= Clock::duration::zero() && rule.linger <= std::chrono::hours(1),
          ".linger must be 0 to 1 hour");
    check(rule.tell_interval >= Clock::duration::zero() &&
              rule.tell_interval <= std::chrono::minutes(1),
          ".tell_interval must be 0 to 1 minute");
  }
}

ROOST_DECL const PresenceRule* find_rule(const PresenceOptions& options,
                                         std::string_view room) noexcept {
  for (const PresenceRule& rule : options.rules) {
    if (matches_rule(rule.rooms, room)) return &rule;
  }
  return nullptr;
}

}  // namespace roost::detail
