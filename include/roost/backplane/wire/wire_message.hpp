// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/manager/sending/audience.hpp"

// What replicas tell each other: one JSON object per message,
//   {"kind": "text"|"json"|"bytes", "room": "lobby"|null, "payload": ..., "exclude": ["id", ...]}
// the format of hawkapi-websockets, whose replicas may share the channel, with two additions:
// - kind "bytes", the payload in base64: a replica that does not know it sends its clients the
//   base64 as a JSON string.
// - "rooms", the further rooms of a union; whoever is in several of them gets the message once. A
//   replica that does not know it serves the members of "room" only. That is the safe side: without
//   "room" it would take the message for one to everyone, and with a message for each room it would
//   send some members copies.
// - "overflow" and "key", what becomes of it for those that are congested: a replica that does not
//   know them sends it as any other.
// Other fields are ignored, so that any side may add some.

namespace roost::detail {

enum class WireKind { text, json, bytes };

struct WireMessage {
  WireKind kind = WireKind::json;
  std::string payload = {};  ///< What clients get: text, serialised JSON, or any bytes.
  std::string key = {};      ///< Empty: none.
  Audience to = {};
  Manner manner = {};
};

/// Why a message is skipped: trouble of the sender's, and no reason for the reader to fail.
struct Skipped {
  std::string why;
};
template <class T>
using OrSkipped = std::variant<T, Skipped>;

/// From what a channel carries to the JSON object that handlers get.
ROOST_WHEN_USED [[nodiscard]] OrSkipped<nlohmann::json> parse_message(std::string_view text);

/// @par Errors  `errc::message_too_big`
void check_size(std::string_view text, std::size_t max_bytes);

/// Compares the limit of a backplane with that of a manager that is to be bound to it.
/// @par Errors  `errc::invalid_option`, naming both
void check_wire_limit(std::optional<std::size_t> backplane, std::optional<std::size_t> manager);

/// The reverse, for publishers.
/// @par Errors  `errc::invalid_json` for what `parse_message` would skip; `errc::message_too_big`.
ROOST_WHEN_USED [[nodiscard]] std::string serialize_message(const nlohmann::json& message,
                                                            std::size_t max_bytes);

/// A message on its way out.
struct OutgoingMessage {
  std::string text;  ///< The JSON object.
  /// Set if it is for the members of this room and nobody else.
  std::optional<std::string> room = {};
  /// The manager that has it already; null: none. To be compared with only.
  const void* origin = nullptr;
};

/// How long a message of @p payload bytes can become on the wire: each byte of text as an escape of
/// six, bytes in base64, and around it a room, a key and some ids to exclude.
[[nodiscard]] constexpr std::size_t longest_on_wire(std::size_t payload) noexcept {
  constexpr std::size_t around = 4096;
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  return payload > (most - around) / 6 ? most : 6 * payload + around;
}

/// @param payload  of kind json: serialised; of kind bytes: the base64
ROOST_WHEN_USED [[nodiscard]] OutgoingMessage encode_wire(WireKind kind, std::string_view payload,
                                                          const Audience& to,
                                                          const Manner& manner = {},
                                                          std::string_view key = {});

// Null is the same as missing.
ROOST_WHEN_USED const nlohmann::json* find_field(const nlohmann::json& object, const char* name);

/// @param message  as `parse_message` returns it
ROOST_WHEN_USED [[nodiscard]] OrSkipped<WireMessage> decode_wire(const nlohmann::json& message);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/wire/wire_message.ipp"
#endif
