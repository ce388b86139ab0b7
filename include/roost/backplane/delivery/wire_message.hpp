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
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/hook.hpp"
#include "roost/manager/history/records.hpp"
#include "roost/manager/sending/audience.hpp"

// The format of messages between replicas: one JSON object per message,
//   {"kind": "text"|"json"|"bytes", "room": "lobby"|null, "payload": ..., "exclude": ["id", ...]}
// This is the format of hawkapi-websockets, whose replicas may share the channel, with these
// additions:
// - kind "bytes": the payload in base64. A replica that does not know this kind sends its clients
//   the base64 as a JSON string.
// - "rooms": the further rooms of a union; a connection in several of them gets the message once. A
//   replica that does not know "rooms" serves the members of "room" only. The alternatives would be
//   worse: without "room" such a replica would send the message to everyone, and with one message
//   per room some members would get copies.
// - "overflow" and "key": how the message is queued for congested connections. A replica that does
//   not know them queues the message as any other.
// Other fields are ignored, so that any replica may add some. If a field occurs twice the last one
// counts, as with most parsers.

namespace roost::detail {

enum class WireKind { text, json, bytes };

struct WireMessage {
  WireKind kind = WireKind::json;
  std::string payload = {};  ///< What clients get: text, JSON, or any bytes.
  std::string key = {};      ///< Empty: no key.
  Audience to = {};
  Manner manner = {};
};

/// Why a message is skipped. The fault is the sender's, so the reader goes on.
struct Skipped {
  std::string why;
};
template <class T>
using OrSkipped = std::variant<T, Skipped>;

// --- going out ---

/// A message to be published.
struct OutgoingMessage {
  std::string text;  ///< The JSON object.
  /// Set if the message is for the members of this room only.
  std::optional<std::string> room = {};
  /// The manager that has the message already; null: none. Only compared, never dereferenced.
  const void* origin = nullptr;
  /// Whether the message is to be recorded. A recorded message has a `room`.
  bool is_recorded = false;
};

/// Serialises a message.
/// @param payload  for kind json the serialised JSON; for kind bytes the base64
ROOST_WHEN_USED [[nodiscard]] OutgoingMessage encode_wire(WireKind kind, std::string_view payload,
                                                          const Audience& to,
                                                          const Manner& manner = {},
                                                          std::string_view key = {});

/// Serialises a message that an application publishes itself.
/// @par Errors  `errc::invalid_json` if no `Parcel` could be made from the text;
///              `errc::message_too_big`.
ROOST_WHEN_USED [[nodiscard]] std::string serialize_message(const nlohmann::json& message,
                                                            std::size_t max_bytes);

/// Checks the size of a message.
/// @par Errors  `errc::message_too_big`.
void check_size(std::string_view text, std::size_t max_bytes);

/// Checks the size of a message that is to be recorded.
/// @param max_bytes  that of the room's `HistoryRule`
/// @par Errors       `errc::message_too_big`.
void check_recorded_size(std::string_view text, std::size_t max_bytes);

/// The maximum length on the wire of a message with @p payload bytes: each byte of text as an
/// escape of six bytes, or bytes in base64, plus space for a room, a key and some ids to exclude.
[[nodiscard]] constexpr std::size_t longest_on_wire(std::size_t payload) noexcept {
  constexpr std::size_t around = 4096;
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  return payload > (most - around) / 6 ? most : 6 * payload + around;
}

/// Checks that the limit of a backplane is large enough for a manager.
/// @par Errors  `errc::invalid_option`, naming both limits.
void check_wire_limit(std::optional<std::size_t> backplane, std::optional<std::size_t> manager);

// --- coming in ---

/// Where the fields of a message are in its text. Each is JSON, or empty if missing.
struct WireFields {
  std::string_view kind = {};
  std::string_view room = {};
  std::string_view rooms = {};
  std::string_view payload = {};
  std::string_view exclude = {};
  std::string_view overflow = {};
  std::string_view key = {};
  std::string_view of = {};  ///< In news of a history, the room.
  bool has_others = false;   ///< Whether there are other fields.
};

class Parcel;
using ParcelPtr = std::shared_ptr<const Parcel>;

/// News that a history has for a manager, in order with the messages.
struct HistoryNews {
  enum class Kind : unsigned char {
    answer,     ///< To `verdicts`, from the snapshot `messages`.
    lost,       ///< All members of the room have missed messages, up to `position`.
    restarted,  ///< Messages may have been missed in any room.
  };
  Kind kind = Kind::restarted;
  std::string room = {};
  std::vector<ParcelPtr> messages = {};
  std::vector<RecoveryVerdict> verdicts = {};
  std::string position = {};
  LossReason why = LossReason::gone;
};

/// A received message, shared by all handlers. Its text is parsed into a value only if a handler
/// asks for one.
/// @par Thread safety  From any thread.
class Parcel {
 public:
  explicit Parcel(std::string text);
  /// Makes a parcel from a message of a backplane that delivers values.
  ROOST_WHEN_USED static Parcel of(const nlohmann::json& message);
  /// Makes a parcel that carries news instead of a message, for a handler that takes parcels.
  explicit Parcel(HistoryNews news)
      : fields_(Skipped{"it is news of a history"}),
        news_(std::make_unique<const HistoryNews>(std::move(news))) {}
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  /// Why the text is not a message; null if it is one: a JSON object (RFC 8259) within the limit on
  /// nesting.
  [[nodiscard]] const Skipped* skipped() const noexcept { return std::get_if<Skipped>(&fields_); }
  /// Whether the object has fields other than those of the wire format.
  [[nodiscard]] bool has_others() const noexcept {
    const auto* const fields = std::get_if<WireFields>(&fields_);
    return fields && fields->has_others;
  }
  /// Hides @p fields from handlers. The names must live as long as the program. Call it before the
  /// parcel is shared.
  void hide(std::span<const char* const> fields) noexcept { hidden_ = fields; }
  /// Notes the position at which the history of @p room has recorded the message. Call it before
  /// the parcel is shared.
  void record_at(std::string room, std::string position) {
    recorded_room_ = std::move(room);
    position_ = std::move(position);
  }
  /// The room for whose members the message was recorded, and whether this is news of the history
  /// instead of a message: `{"of": "lobby", ...}`.
  [[nodiscard]] std::pair<std::string, bool> recorded_for() const;
  /// The position of the message in the history of its room; empty if the message is not recorded.
  [[nodiscard]] const std::string& position() const noexcept { return position_; }
  [[nodiscard]] const std::string& recorded_room() const noexcept { return recorded_room_; }
  /// The news; null if this is a message.
  [[nodiscard]] const HistoryNews* news() const noexcept { return news_.get(); }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.size(); }

  /// The message as a value.
  /// @par Errors  `errc::invalid_json` if a value cannot represent the text.
  ROOST_WHEN_USED [[nodiscard]] const nlohmann::json& json() const;
  /// Decodes what clients get. JSON stays as its publisher serialised it.
  [[nodiscard]] OrSkipped<WireMessage> decode() const;

 private:
  explicit Parcel(Skipped why) : fields_(std::move(why)) {}

  const std::string text_;
  const OrSkipped<WireFields> fields_;
  const std::unique_ptr<const HistoryNews> news_;
  std::string recorded_room_;
  std::string position_;
  std::span<const char* const> hidden_;
  mutable std::once_flag once_;
  mutable nlohmann::json json_;
};
using ParcelHandler = Hook<void(const Parcel&)>;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/delivery/wire_message.ipp"
#endif
