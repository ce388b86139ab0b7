// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <variant>

#include "roost/backplane/control/control_order.hpp"
#include "roost/base/build/config.hpp"
#include "roost/version.hpp"

// The format of what replicas ask each other and tell each other to do: one JSON object each,
//   {"control":"ask","id":"<16 characters>","from":"<name>","reply":"<address>","what":"<name>",
//    "body":...}
//   {"control":"answer","id":"<16 characters>","from":"<name>","body":...}     or "error":"..."
// `what` names a hook of the application; or `roost:disconnect`, `roost:join`, `roost:leave` or
// `roost:room_size`, with an order as the body:
//   {"to":"connection"|"user"|"room","name":"...","room":"...","code":1000,"reason":"",
//    "except":""}
// These messages travel where earlier releases and hawkapi-websockets expect none, or expect only
// objects with a field `node`: they skip them. Other fields are ignored.

namespace roost::detail {

/// The size of a message between replicas, at most; and of a question or an answer in it.
inline constexpr std::size_t max_control_bytes = 65'536;
inline constexpr std::size_t max_control_body = 64'000;
/// The length of the name of a hook, at most.
inline constexpr std::size_t max_question_name = 255;

/// What one replica asks the others.
struct ControlQuestion {
  std::string id = {};
  std::string from = {};
  std::string reply = {};  ///< Where the answer goes.
  std::string what = {};
  nlohmann::json body = {};
};

/// What a replica answers.
struct ControlAnswer {
  std::string id = {};
  std::string from = {};
  nlohmann::json body = {};
  std::string error = {};
};

/// The version of roost, for `ReplicaInfo`.
[[nodiscard]] inline std::string version_text() {
  return std::to_string(ROOST_VERSION_MAJOR) + '.' + std::to_string(ROOST_VERSION_MINOR) + '.' +
         std::to_string(ROOST_VERSION_PATCH);
}

/// @par Errors  `errc::invalid_json`.
ROOST_WHEN_USED [[nodiscard]] std::string encode_question(const ControlQuestion& question);
/// An answer that is too large or no JSON becomes an error that says so.
ROOST_WHEN_USED [[nodiscard]] std::string encode_answer(ControlAnswer answer);
ROOST_WHEN_USED [[nodiscard]] std::string_view name_of(ControlOrder::Kind kind);
ROOST_WHEN_USED [[nodiscard]] nlohmann::json encode_order(const ControlOrder& order);

using ControlMessage = std::variant<std::monostate, ControlQuestion, ControlAnswer>;
/// Reads a message. Empty if @p text is not one, or is out of bounds.
ROOST_WHEN_USED [[nodiscard]] ControlMessage read_control(std::string_view text);
/// Reads the order of a question. Nullopt if it is not one.
ROOST_WHEN_USED [[nodiscard]] std::optional<ControlOrder> read_order(
    const ControlQuestion& question);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/control/control_message.ipp"
#endif
