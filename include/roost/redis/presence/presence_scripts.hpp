// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "roost/backplane/presence/presence_list.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/options.hpp"

// How presence is kept in Redis. Under <channel>:who:<room> a hash, with the fields
//   #        "<version> <token>"
//   :<user>  "<replica> <replica> ...", the replicas that hold the user, then a line feed and what
//            others may know about the user, as JSON or empty
// and under <channel>:in:<replica> a set, the rooms in which that replica holds users. A change is
// published on the channel <channel>:who:<room>, in lines: version, token, token before, number of
// users, "+" or "-", user, information. Names of users have no line feed, and JSON need not.

namespace roost::detail {

enum class PresenceScript : unsigned char {
  enter,  ///< A replica holds a user.
  leave,  ///< A replica does not hold a user.
  read,   ///< Tells the users of a room, or only their number.
  clean,  ///< A replica holds nobody in a room; in portions.
  held,   ///< Tells whom a replica holds in a room; in portions.
  rooms,  ///< Tells the rooms of a replica; in portions.
};

/// One text after another, at compile time.
template <const std::string_view&... parts>
struct JoinedText {
  static constexpr auto chars = [] {
    std::array<char, (parts.size() + ...)> joined{};
    char* end = joined.data();
    ((end = std::copy(parts.begin(), parts.end(), end)), ...);
    return joined;
  }();
  static constexpr std::string_view text{chars.data(), chars.size()};
};

// KEYS who. The version of a new hash is the time, so that it is larger than those of an earlier
// hash.
inline constexpr std::string_view presence_change_text = R"(
local function change(sign, user, info, token, channel, max)
  local known, version, before = redis.call('HGET', KEYS[1], '#'), nil, '------'
  if known then
    version, before = string.match(known, '^(%d+) (.*)$')
    version = tonumber(version) + 1
  else
    local time = redis.call('TIME')
    version = time[1] * 1000000 + time[2]
  end
  version = string.format('%.0f', version)
  redis.call('HSET', KEYS[1], '#', version .. ' ' .. token)
  local count = redis.call('HLEN', KEYS[1]) - 1
  if count == 0 then redis.call('DEL', KEYS[1]) end
  if count <= tonumber(max) + 1 then
    redis.call('PUBLISH', channel, table.concat(
      {version, token, before, string.format('%.0f', count), sign, user, info}, '\n'))
  end
end
local function without(value, replica)
  local line = string.find(value, '\n', 1, true)
  local holders, info = {}, string.sub(value, line + 1)
  local is_held = false
  for name in string.gmatch(string.sub(value, 1, line - 1), '%S+') do
    if name == replica then is_held = true else holders[#holders + 1] = name end
  end
  return is_held, holders, info
end
)";

// KEYS who, in; ARGV replica, room, user, information, token, channel, max
inline constexpr std::string_view presence_enter_text = R"(
redis.call('SADD', KEYS[2], ARGV[2])
local field = ':' .. ARGV[3]
local value = redis.call('HGET', KEYS[1], field)
if value then
  if not without(value, ARGV[1]) then
    redis.call('HSET', KEYS[1], field, ARGV[1] .. ' ' .. value)
  end
  return 0
end
redis.call('HSET', KEYS[1], field, ARGV[1] .. '\n' .. ARGV[4])
change('+', ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
)";

// KEYS who, in; ARGV replica, room, user, '1' if it was the replica's last in the room, token,
// channel, max
inline constexpr std::string_view presence_leave_text = R"(
if ARGV[4] == '1' then redis.call('SREM', KEYS[2], ARGV[2]) end
local field = ':' .. ARGV[3]
local value = redis.call('HGET', KEYS[1], field)
if not value then return 0 end
local is_held, holders, info = without(value, ARGV[1])
if not is_held then return 0 end
if #holders > 0 then
  redis.call('HSET', KEYS[1], field, table.concat(holders, ' ') .. '\n' .. info)
  return 0
end
redis.call('HDEL', KEYS[1], field)
change('-', ARGV[3], '', ARGV[5], ARGV[6], ARGV[7])
return 1
)";

// KEYS who, in; ARGV replica, room, cursor, seed of tokens, channel, max
inline constexpr std::string_view presence_clean_text = R"(
local portion = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', 128)
local found, gone = portion[2], 0
for i = 1, #found, 2 do
  local user = string.sub(found[i], 2)
  if string.sub(found[i], 1, 1) == ':' then
    local value = redis.call('HGET', KEYS[1], found[i])
    local is_held, holders, info = false, nil, nil
    if value then is_held, holders, info = without(value, ARGV[1]) end
    if is_held then
      gone = gone + 1
      if #holders > 0 then
        redis.call('HSET', KEYS[1], found[i], table.concat(holders, ' ') .. '\n' .. info)
      else
        redis.call('HDEL', KEYS[1], found[i])
        local token = string.sub(redis.sha1hex(ARGV[4] .. i), 1, 6)
        change('-', user, '', token, ARGV[5], ARGV[6])
      end
    end
  end
end
if portion[1] == '0' then redis.call('SREM', KEYS[2], ARGV[2]) end
return {portion[1], gone}
)";

inline constexpr std::array<std::string_view, 6> presence_script_texts = {
    JoinedText<presence_change_text, presence_enter_text>::text,
    JoinedText<presence_change_text, presence_leave_text>::text,
    // KEYS who; ARGV max
    R"(
local known = redis.call('HGET', KEYS[1], '#')
local version, token
if known then
  version, token = string.match(known, '^(%d+) (.*)$')
else
  local time = redis.call('TIME')
  version, token = string.format('%.0f', time[1] * 1000000 + time[2]), '------'
end
local count = redis.call('HLEN', KEYS[1])
if known then count = count - 1 end
if count > tonumber(ARGV[1]) then return {version, token, count} end
return {version, token, count, redis.call('HGETALL', KEYS[1])}
)",
    JoinedText<presence_change_text, presence_clean_text>::text,
    // KEYS who; ARGV replica, cursor
    R"(
local portion = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', 128)
local found, users = portion[2], {}
for i = 1, #found, 2 do
  local holders = string.match(found[i + 1], '^[^\n]*')
  if string.sub(found[i], 1, 1) == ':' and string.find(holders, ARGV[1], 1, true) then
    users[#users + 1] = string.sub(found[i], 2)
  end
end
return {portion[1], users}
)",
    // KEYS in; ARGV cursor
    R"(
return redis.call('SSCAN', KEYS[1], ARGV[1], 'COUNT', 128)
)",
};

[[nodiscard]] inline std::string who_prefix(const RedisOptions& options) {
  return options.channel + ":who:";
}
[[nodiscard]] inline std::string in_key(const RedisOptions& options, std::string_view replica) {
  return options.channel + ":in:" + std::string(replica);
}

// --- what the scripts publish and answer ---

// Anybody may write to Redis, so what cannot be read is ignored.

template <class Number>
[[nodiscard]] std::optional<Number> read_number(std::string_view text) noexcept {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Reads an event; nothing if it is damaged.
[[nodiscard]] inline std::optional<PresenceEvent> read_presence_event(std::string room,
                                                                      std::string_view text) {
  if (!is_utf8(text)) return std::nullopt;
  std::array<std::string_view, 6> lines;
  for (std::string_view& line : lines) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  const auto version = read_number<std::uint64_t>(lines[0]);
  const auto token = Mark::parse(lines[1]);
  const auto before = Mark::parse(lines[2]);
  const auto count = read_number<std::size_t>(lines[3]);
  if (!version || !token || !before || !count) return std::nullopt;
  if (lines[4] != "+" && lines[4] != "-") return std::nullopt;
  return PresenceEvent{.room = std::move(room),
                       .user = std::string(lines[5]),
                       .info = std::string(text),
                       .has_come = lines[4] == "+",
                       .at = {*version, *token},
                       .before = *before,
                       .count = *count};
}

/// Reads one user of a hash; nothing if it is damaged, or not a user.
[[nodiscard]] inline std::optional<PresenceAnswer::Entry> read_presence_entry(
    std::string_view field, std::string_view value, std::string_view replica) {
  const std::size_t line = value.find('\n');
  if (!field.starts_with(':') || line == std::string_view::npos) return std::nullopt;
  if (!is_utf8(field) || !is_utf8(value)) return std::nullopt;
  const bool is_held = value.substr(0, line).find(replica) != std::string_view::npos;
  return PresenceAnswer::Entry{std::string(field.substr(1)), std::string(value.substr(line + 1)),
                               is_held};
}

/// Reads the answer to `PresenceScript::read`; nothing if it is damaged.
[[nodiscard]] inline std::optional<PresenceAnswer> read_presence_answer(const RedisReply& reply,
                                                                        std::string_view replica) {
  const auto& parts = reply.elements;
  if (parts.size() < 3 || !parts[2].is_integer() || parts[2].integer < 0) return std::nullopt;
  const auto version = read_number<std::uint64_t>(parts[0].text);
  const auto token = Mark::parse(parts[1].text);
  if (!version || !token) return std::nullopt;
  PresenceAnswer answer{.at = {*version, *token},
                        .count = static_cast<std::size_t>(parts[2].integer),
                        .is_listed = parts.size() > 3};
  if (!answer.is_listed) return answer;
  const auto& fields = parts[3].elements;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    auto entry = read_presence_entry(fields[i].text, fields[i + 1].text, replica);
    if (entry) answer.entries.push_back(*std::move(entry));
  }
  answer.count = answer.entries.size();
  return answer;
}

}  // namespace roost::detail
