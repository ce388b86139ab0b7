// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/base/text/json.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/numbering/sequences.hpp"
#include "roost/redis/subscribing/announcements.hpp"

// The fields that this backplane adds to a message, in front of the publisher's own:
//   {"v": 1, "node": "<32 hex digits>", "epoch": 1764074000000, "seq": 7, "kind": ...}
// Other replicas may ignore them, and need not send any. And what it says on its control channel:
//   {"v": 1, "node": ..., "epoch": ..., "last": {"<channel>": 7, ...}}
// the last number it has sent on each of the channels. For the channel of a room that is said in
// that channel. With it comes when, in milliseconds before now: the first number that was sent at
// all, since when, and how long ago the last one was sent:
//   "sent": {"<channel>": [1, 60000, 5000], ...}
// One that was away for a while asks for what it may have missed:
//   {"v": 1, "node": ..., "epoch": 0, "ask": <milliseconds>}

namespace roost::detail {

inline constexpr std::array<const char*, 4> stamp_fields = {"v", "node", "epoch", "seq"};

/// The field of a publisher's message that is not its to set; null if there is none.
[[nodiscard]] inline const char* reserved_field(const nlohmann::json& message) {
  for (const char* field : stamp_fields) {
    if (message.contains(field)) return field;
  }
  return nullptr;
}

inline std::string stamp_prefix(std::string_view node, std::uint64_t epoch) {
  std::string prefix = R"({"v":1,"node":")";
  prefix.append(node).append(R"(","epoch":)").append(std::to_string(epoch));
  return prefix;
}

/// Appends the command that publishes a message with its stamp.
/// @param text  a JSON object, serialised
inline void append_publish(std::string& out, std::string_view channel, std::string_view text,
                           const SequenceStamp& stamp) {
  std::string prefix = stamp_prefix(stamp.node, stamp.epoch);
  prefix.append(R"(,"seq":)").append(std::to_string(stamp.sequence));
  if (text != "{}") prefix += ',';
  text.remove_prefix(1);
  append_count(out, '*', 3);
  append_argument(out, "PUBLISH");
  append_argument(out, channel);
  append_argument(out, prefix, text);
}

/// A number that a field says; nothing if it says anything else.
[[nodiscard]] inline std::optional<std::uint64_t> read_unsigned(std::string_view json) {
  std::uint64_t number = 0;
  const char* const end = json.data() + json.size();
  const auto read = std::from_chars(json.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? std::optional(number) : std::nullopt;
}

/// The fields of a stamp in the text of a message: JSON, empty if missing.
struct StampFields {
  std::string_view version = {};
  std::string_view node = {};
  std::string_view epoch = {};
  std::string_view sequence = {};

  [[nodiscard]] std::string_view* find(std::string_view name) noexcept {
    if (name == "v") return &version;
    if (name == "node") return &node;
    if (name == "epoch") return &epoch;
    if (name == "seq") return &sequence;
    return nullptr;
  }
  /// Who sent it; nothing for messages of others. The number is left out.
  [[nodiscard]] std::optional<SequenceStamp> sender() const {
    constexpr std::size_t longest_node = 64;
    const std::optional<std::uint64_t> number = read_unsigned(epoch);
    if (read_unsigned(version) != 1U || !number || !node.starts_with('"')) return std::nullopt;
    std::string name = json_string_value(node);
    if (name.empty() || name.size() > longest_node) return std::nullopt;
    return SequenceStamp{.node = std::move(name), .epoch = *number};
  }
  [[nodiscard]] std::optional<SequenceStamp> stamp() const {
    const std::optional<std::uint64_t> number = read_unsigned(sequence);
    std::optional<SequenceStamp> stamp = number ? sender() : std::nullopt;
    if (stamp) stamp->sequence = *number;
    return stamp;
  }
};

/// The fields of a stamp in @p text, wherever they stand.
[[nodiscard]] inline StampFields find_stamp(std::string_view text) {
  StampFields fields;
  JsonScanner scanner(text);
  const bool is_object =
      scanner.members(max_json_depth - 1, [&](std::string_view name, std::string_view value) {
        if (std::string_view* const field = fields.find(name)) *field = value;
        return true;
      });
  return is_object ? fields : StampFields();
}

/// Takes a stamp off that stands in front, as ours do, and looks no further. Nothing, and no
/// change, if it stands otherwise: then `find_stamp` may find it.
[[nodiscard]] inline std::optional<SequenceStamp> cut_stamp(std::string& text) {
  StampFields fields;
  std::size_t rest_at = 0;
  const bool is_object = JsonScanner(text).members(
      max_json_depth - 1, [&](std::string_view name, std::string_view value) {
        std::string_view* const field = fields.find(name);
        if (!field) return false;
        *field = value;
        rest_at = static_cast<std::size_t>(value.data() + value.size() - text.data());
        return fields.sequence.empty();  // it comes last
      });
  if (!is_object || rest_at == 0 || text[rest_at] != ',') return std::nullopt;
  std::optional<SequenceStamp> stamp = fields.stamp();
  if (!stamp) return std::nullopt;
  text[rest_at] = '{';
  text.erase(0, rest_at);
  return stamp;
}

/// What a node says it has sent last.
struct Announcement {
  SequenceStamp sender;
  std::vector<std::pair<std::string, std::uint64_t>> last;
  std::unordered_map<std::string, SendTimes> times =
      {};  ///< Of the channels that it tells them of.
};

inline std::int64_t to_ms(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

[[nodiscard]] inline std::string announcement_text(std::string_view node, const SentSoFar& sent,
                                                   Clock::time_point now) {
  const nlohmann::json last = {{sent.channel, sent.last}};
  const auto first_age = to_ms(now - sent.first_at);
  const auto last_age = to_ms(now - sent.last_at);
  nlohmann::json times = nlohmann::json::object();
  times[sent.channel] = nlohmann::json::array({sent.first, first_age, last_age});
  return stamp_prefix(node, sent.epoch) + R"(,"last":)" + last.dump() + R"(,"sent":)" +
         times.dump() + "}";
}
/// An announcement among messages.
[[nodiscard]] inline bool is_announcement(std::string_view text) {
  constexpr std::string_view before_node = R"({"v":1,"node":")";
  constexpr std::string_view before_epoch = R"(","epoch":)";
  constexpr std::size_t node_size = 32;
  if (!text.starts_with(before_node)) return false;
  text.remove_prefix(std::min(text.size(), before_node.size() + node_size));
  if (!text.starts_with(before_epoch)) return false;
  text.remove_prefix(before_epoch.size());
  text.remove_prefix(std::min(text.size(), text.find_first_not_of("0123456789")));
  return text.starts_with(R"(,"last":)");
}

[[nodiscard]] inline std::string ask_text(std::string_view node, Clock::duration away) {
  return stamp_prefix(node, 0) + R"(,"ask":)" + std::to_string(to_ms(away)) + "}";
}

[[nodiscard]] inline std::string announcement_text(std::string_view node, std::uint64_t epoch,
                                                   const nlohmann::json& last) {
  return stamp_prefix(node, epoch) + R"(,"last":)" + last.dump() + "}";
}

/// Some time ago; nobody remembers more than a year.
[[nodiscard]] inline std::optional<Clock::duration> read_age(const nlohmann::json& age) {
  constexpr Clock::duration longest = std::chrono::hours(24 * 365);
  if (!age.is_number_unsigned()) return std::nullopt;
  const auto count =
      std::min<std::uint64_t>(age.get<std::uint64_t>(), static_cast<std::uint64_t>(to_ms(longest)));
  return std::chrono::milliseconds(count);
}
inline void read_times(const nlohmann::json& object, Clock::time_point now,
                       Announcement& announcement) {
  const auto sent = object.find("sent");
  if (sent == object.end() || !sent->is_object()) return;
  for (const auto& [channel, times] : sent->items()) {
    if (!times.is_array() || times.size() != 3 || !times[0].is_number_unsigned()) continue;
    const auto first_age = read_age(times[1]);
    const auto last_age = read_age(times[2]);
    if (!first_age || !last_age) continue;
    announcement.times.emplace(channel, SendTimes{.first = times[0].get<std::uint64_t>(),
                                                  .first_at = now - *first_age,
                                                  .last_at = now - *last_age});
  }
}

/// @param object  of @p sender
/// @param now     when it came
[[nodiscard]] inline std::optional<Announcement> read_announcement(SequenceStamp sender,
                                                                   const nlohmann::json& object,
                                                                   Clock::time_point now = {}) {
  const auto last = object.find("last");
  if (last == object.end() || !last->is_object()) return std::nullopt;
  Announcement announcement{.sender = std::move(sender), .last = {}};
  for (const auto& [channel, sequence] : last->items()) {
    if (!sequence.is_number_unsigned()) return std::nullopt;
    announcement.last.emplace_back(channel, sequence.get<std::uint64_t>());
  }
  read_times(object, now, announcement);
  return announcement;
}

/// For how long a sender was away that asks what was sent meanwhile.
[[nodiscard]] inline std::optional<Clock::duration> read_ask(const nlohmann::json& object) {
  const auto age = object.find("ask");
  if (age == object.end()) return std::nullopt;
  return read_age(*age);
}

}  // namespace roost::detail
