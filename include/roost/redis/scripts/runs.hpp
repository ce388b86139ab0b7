// SPDX-License-Identifier: MIT
#pragma once

#include <unordered_map>
#include <utility>

#include "roost/redis/connection/codec.hpp"
#include "roost/redis/scripts/script_user.hpp"

namespace roost::detail {

/// Calls that are sent as one run of their script. A call that is not joint is alone.
using RedisRun = std::vector<RedisCall>;

/// How many calls are sent as one at most: a reply has an element for each, see `RedisReader`, and
/// Redis does nothing else meanwhile.
inline constexpr std::size_t max_joint_calls = 32;

/// Whether a call may be sent as one with @p front, which has the same first key.
[[nodiscard]] inline bool may_join(const RedisCall& front, const RedisCall& call) noexcept {
  return front.user == call.user && front.script == call.script && front.joint == call.joint;
}

/// Puts calls together that may be sent as one: joint calls of one script with the same first key.
/// These keep their order, and none of them passes another call with this key, or a call that is
/// not joint.
[[nodiscard]] inline std::vector<RedisRun> join_calls(std::vector<RedisCall> calls) {
  std::vector<RedisRun> runs;
  std::unordered_map<std::string, std::size_t> open;  // the last run of a key
  for (RedisCall& call : calls) {
    std::size_t run = runs.size();
    if (!call.joint) {
      open.clear();
    } else {
      const auto [found, is_new] = open.try_emplace(call.arguments.front(), run);
      const bool is_open = is_new || (runs[found->second].size() < max_joint_calls &&
                                      may_join(runs[found->second].front(), call));
      if (!is_open) found->second = run;
      run = found->second;
    }
    if (run == runs.size()) runs.emplace_back();
    runs[run].push_back(std::move(call));
  }
  return runs;
}

/// Appends the command that runs a script.
/// @param arguments  the keys first
/// @param more       how many arguments the caller appends after these
inline void append_call(std::string& out, std::string_view sha, std::size_t keys,
                        std::span<const std::string> arguments, std::size_t more = 0) {
  append_count(out, '*', 3 + arguments.size() + more);
  append_argument(out, "EVALSHA");
  append_argument(out, sha);
  append_argument(out, std::to_string(keys));
  for (const std::string& argument : arguments) append_argument(out, argument);
}

/// Appends the command that runs the script of all calls of @p run.
inline void append_run(std::string& out, std::string_view sha, const RedisRun& run) {
  const RedisCall& first = run.front();
  const std::size_t own = first.joint ? first.joint->count : 0;
  append_call(out, sha, first.keys, first.arguments, (run.size() - 1) * own);
  for (std::size_t i = 1; i < run.size(); ++i) {
    const std::span<const std::string> all = run[i].arguments;
    for (const std::string& argument : all.subspan(first.joint->first, own)) {
      append_argument(out, argument);
    }
  }
}

}  // namespace roost::detail
