// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/history.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

ROOST_DECL void check_rule(const HistoryRule& rule, const HistoryOptions& options,
                           const std::string& name) {
  validate_rule_rooms(rule.rooms, name);
  check_option(rule.max_messages >= 1 && rule.max_messages <= 10'000, name,
               ".max_messages must be 1 to 10000");
  check_option(rule.max_bytes >= 4096 && rule.max_bytes <= 67'108'864, name,
               ".max_bytes must be 4096 to 67108864");
  check_option(
      rule.max_age >= std::chrono::seconds(1) && rule.max_age <= std::chrono::hours(7 * 24), name,
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

}  // namespace roost::detail
