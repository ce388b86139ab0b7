// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "roost/base/build/config.hpp"
#include "roost/base/hook.hpp"
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
// Other fields are ignored, so that any side may add some. Of a field that is there twice the last
// one counts, as with most parsers.

namespace roost::detail {

enum class WireKind { text, json, bytes };

struct WireMessage {
  WireKind kind = WireKind::json;
  std::string payload = {};  ///< What clients get: text, JSON, or any bytes.
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

// --- going out ---

/// A message on its way out.
struct OutgoingMessage {
  std::string text;  ///< The JSON object.
  /// Set if it is for the members of this room and nobody else.
  std::optional<std::string> room = {};
  /// The manager that has it already; null: none. To be compared with only.
  const void* origin = nullptr;
};

/// @param payload  of kind json: serialised; of kind bytes: the base64
ROOST_WHEN_USED [[nodiscard]] OutgoingMessage encode_wire(WireKind kind, std::string_view payload,
                                                          const Audience& to,
                                                          const Manner& manner = {},
                                                          std::string_view key = {});

/// A message of an application's own.
/// @par Errors  `errc::invalid_json` for what no `Parcel` can be made of; `errc::message_too_big`.
ROOST_WHEN_USED [[nodiscard]] std::string serialize_message(const nlohmann::json& message,
                                                            std::size_t max_bytes);

/// @par Errors  `errc::message_too_big`
void check_size(std::string_view text, std::size_t max_bytes);

/// How long a message of @p payload bytes can become on the wire: each byte of text as an escape of
/// six, bytes in base64, and around it a room, a key and some ids to exclude.
[[nodiscard]] constexpr std::size_t longest_on_wire(std::size_t payload) noexcept {
  constexpr std::size_t around = 4096;
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  return payload > (most - around) / 6 ? most : 6 * payload + around;
}

/// Compares the limit of a backplane with that of a manager that is to be bound to it.
/// @par Errors  `errc::invalid_option`, naming both
void check_wire_limit(std::optional<std::size_t> backplane, std::optional<std::size_t> manager);

// --- coming in ---

/// Where the fields of a message stand in its text: JSON, empty if missing.
struct WireFields {
  std::string_view kind = {};
  std::string_view room = {};
  std::string_view rooms = {};
  std::string_view payload = {};
  std::string_view exclude = {};
  std::string_view overflow = {};
  std::string_view key = {};
  bool has_others = false;  ///< There are other fields too.
};

/// A message on its way to handlers, shared by all of them. Values are made of its text only where
/// a handler wants them.
/// @par Thread safety  From any thread.
class Parcel {
 public:
  explicit Parcel(std::string text);
  /// A message of a backplane that brings values.
  ROOST_WHEN_USED static Parcel of(const nlohmann::json& message);
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  /// Null if it is a message: a JSON object (RFC 8259) that is not nested too deep.
  [[nodiscard]] const Skipped* skipped() const noexcept { return std::get_if<Skipped>(&fields_); }
  /// Whether it has fields that are not of the wire.
  [[nodiscard]] bool has_others() const noexcept {
    const auto* const fields = std::get_if<WireFields>(&fields_);
    return fields && fields->has_others;
  }
  /// Handlers do not see these fields, whose names live as long as the program. Before it is
  /// shared.
  void hide(std::span<const char* const> fields) noexcept { hidden_ = fields; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.size(); }

  /// @par Errors  `errc::invalid_json` where a value cannot hold what the text says
  ROOST_WHEN_USED [[nodiscard]] const nlohmann::json& json() const;
  /// What clients get: JSON as its publisher wrote it.
  [[nodiscard]] OrSkipped<WireMessage> decode() const;

 private:
  explicit Parcel(Skipped why) : fields_(std::move(why)) {}

  const std::string text_;
  const OrSkipped<WireFields> fields_;
  std::span<const char* const> hidden_;
  mutable std::once_flag once_;
  mutable nlohmann::json json_;
};
using ParcelPtr = std::shared_ptr<const Parcel>;
using ParcelHandler = Hook<void(const Parcel&)>;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/wire_message.ipp"
#endif
