// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>

#include "roost/base/text/json.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/numbering/sequences.hpp"

namespace roost::detail {

/// The numbers that this node has sent on a channel.
struct SentSoFar {
  std::string channel = {};
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;  ///< The first number that was sent; earlier ones were dropped.
  std::uint64_t last = 0;
  Clock::time_point first_at = {};  ///< When that was given to `publish`.
  Clock::time_point last_at = {};
};

/// Decides when to announce the numbers of sent messages to other replicas: a while after a
/// message, once for each channel, and again if some may have missed the announcement. Bounded like
/// the numbering.
class Announcements {
 public:
  Announcements(Clock::duration interval, std::size_t max_channels) noexcept
      : interval_(interval), max_channels_(max_channels) {}

  /// Notes that a message is sent.
  /// @param since  when the message was given to `publish`
  void note_sent(const std::string& channel, Numbering::Number number, Clock::time_point since,
                 Clock::time_point now) {
    if (number.epoch != epoch_) begin_epoch(number.epoch);
    const auto [found, is_new] = channels_.try_emplace(channel);
    Entry& entry = found->second;
    if (is_new) {
      entry.sent = {
          .channel = channel, .epoch = number.epoch, .first = number.sequence, .first_at = since};
    }
    entry.sent.last = number.sequence;
    entry.sent.last_at = now;
    tell(entry, now + interval_);
  }

  /// Announces again, at @p when, the channels with messages sent after @p since: somebody may have
  /// missed them.
  void repeat(Clock::time_point since, Clock::time_point when) {
    for (auto& [channel, entry] : channels_) {
      if (entry.sent.last_at >= since) tell(entry, when);
    }
  }

  /// When the next announcement is due; `never` if there is none.
  [[nodiscard]] Clock::time_point due() const noexcept { return due_; }

  /// The next channel to announce; `nullopt` if there is none left.
  [[nodiscard]] std::optional<SentSoFar> take() {
    if (!old_.empty()) {
      std::optional<SentSoFar> oldest = std::move(old_.front());
      old_.pop_front();
      return oldest;
    }
    if (untold_.empty()) {
      due_ = Timer::never();
      return std::nullopt;
    }
    Entry& entry = channels_.at(untold_.front());
    untold_.pop_front();
    entry.is_untold = false;
    return entry.sent;
  }

 private:
  struct Entry {
    SentSoFar sent;
    bool is_untold = false;
  };

  void tell(Entry& entry, Clock::time_point when) {
    if (!std::exchange(entry.is_untold, true)) untold_.push_back(entry.sent.channel);
    due_ = std::min(due_, when);
  }
  // The numbers of all channels begin anew; the last numbers of the old epoch are still to be
  // announced.
  void begin_epoch(std::uint64_t epoch) {
    for (const std::string& channel : untold_) old_.push_back(channels_.at(channel).sent);
    while (old_.size() > max_channels_) old_.pop_front();
    untold_.clear();
    channels_.clear();
    epoch_ = epoch;
  }

  const Clock::duration interval_;
  const std::size_t max_channels_;
  std::uint64_t epoch_ = 0;
  std::unordered_map<std::string, Entry> channels_;  // bounded by the numbering
  std::deque<std::string> untold_;
  std::deque<SentSoFar> old_;  // from the last epoch, not announced yet
  Clock::time_point due_ = Timer::never();
};

}  // namespace roost::detail

// The fields that this backplane adds to a message, in front of the publisher's own:
//   {"v": 1, "node": "<32 hex digits>", "epoch": 1764074000000, "seq": 7, "kind": ...}
// Other replicas may ignore these fields, and need not send any. On the control channel a node
// announces the last number that it has sent on each of its channels:
//   {"v": 1, "node": ..., "epoch": ..., "last": {"<channel>": 7, ...}}
// The channel of a room gets its announcements in that channel. An announcement also has the first
// number that was sent at all, since when, and when the last one was sent, in milliseconds before
// now:
//   "sent": {"<channel>": [1, 60000, 5000], ...}
// A node that was disconnected asks for announcements of what it may have missed:
//   {"v": 1, "node": ..., "epoch": 0, "ask": <milliseconds>}

namespace roost::detail {

inline constexpr std::array<const char*, 4> stamp_fields = {"v", "node", "epoch", "seq"};

/// A field of a message that its publisher must not set; null if there is none.
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

/// The number in a field; nullopt if the field has another value.
[[nodiscard]] inline std::optional<std::uint64_t> read_unsigned(std::string_view json) {
  std::uint64_t number = 0;
  const char* const end = json.data() + json.size();
  const auto read = std::from_chars(json.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? std::optional(number) : std::nullopt;
}

/// The fields of a stamp in the text of a message. Each is JSON, or empty if missing.
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
  /// The sender; nullopt for messages without a stamp. The number is left out.
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

/// Finds the fields of a stamp anywhere in @p text.
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

/// Removes a stamp from the front of @p text, where our messages have it. Returns nullopt and
/// changes nothing if the stamp is elsewhere; then `find_stamp` may find it.
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

/// The last numbers that a node has sent.
struct Announcement {
  SequenceStamp sender;
  std::vector<std::pair<std::string, std::uint64_t>> last;
  std::unordered_map<std::string, SendTimes> times = {};  ///< For the channels in `last`.
};

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
/// Whether a message is an announcement.
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

/// Reads an age in milliseconds. An age of more than a year is invalid.
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

/// Reads an announcement.
/// @param object  sent by @p sender
/// @param now     when the message arrived
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

/// Reads a request for announcements: how long its sender was disconnected.
[[nodiscard]] inline std::optional<Clock::duration> read_ask(const nlohmann::json& object) {
  const auto age = object.find("ask");
  if (age == object.end()) return std::nullopt;
  return read_age(*age);
}

}  // namespace roost::detail
