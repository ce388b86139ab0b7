// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

namespace roost::detail {

/// What an error of Redis says about a script.
enum class ScriptRefusal {
  not_loaded,  ///< Redis has forgotten the scripts.
  moved,       ///< The script did not run: this Redis is of no use now.
  busy,        ///< The script did not run, but may soon.
  full,        ///< The script did not run: Redis cannot write.
  for_good,    ///< The script failed, and would again.
};

/// Reads an error. Redis 6 puts the code into a text of its own, and a text may name a user of any
/// name.
[[nodiscard]] inline ScriptRefusal refusal_of(const std::string& error) noexcept {
  const auto says = [&](std::initializer_list<std::string_view> codes) {
    return std::any_of(codes.begin(), codes.end(), [&](std::string_view code) {
      return error.find(code) != std::string::npos;
    });
  };
  if (says({"NOPERM", "WRONGTYPE"})) return ScriptRefusal::for_good;
  if (says({"OOM", "MISCONF"})) return ScriptRefusal::full;
  if (says({"NOSCRIPT"})) return ScriptRefusal::not_loaded;
  if (says({"READONLY", "LOADING", "MASTERDOWN"})) return ScriptRefusal::moved;
  if (says({"CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"})) return ScriptRefusal::busy;
  return ScriptRefusal::for_good;
}

}  // namespace roost::detail
