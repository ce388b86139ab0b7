// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdlib>

#include "roost/backplane/history/position.hpp"
#include "roost/redis/connection/shared.hpp"
#include "roost/redis/options.hpp"
#include "roost/redis/scripts/script_connection.hpp"

// How the history of a room is kept in Redis: with the channel C and the room R
//   C:meta:R  a hash: `e` the epoch, `n` the number and `k` the mark of the newest message, `b` the
//             bytes of the messages that are kept
//   C:log:R   a list of the messages that are kept, the oldest first, as they are published:
//             {"v":1,"at":["<epoch>",<number>,"<mark>","<mark of the one before>"],"kind":...}
// The scripts record and tell, and judge nothing: that is up to the room logs of the replicas. The
// first write of each is one that a replica of Redis refuses, and `record` begins with one that a
// Redis without memory refuses. A script that fails half-way is not undone, so each is tried once
// before it is needed, with every command that it has; and a message that cannot be published is
// recorded all the same.

namespace roost::detail {

enum class HistoryScript : unsigned char {
  record,  ///< Appends a message, and publishes it.
  read,    ///< What comes after a number.
  fork,    ///< Gives the log another epoch, if it has the expected one still; or drops it.
};

/// The messages of one answer at most: no reply is larger than a `RedisReader` takes.
inline constexpr std::string_view history_read_limit = "60";

inline constexpr std::array<std::string_view, 3> history_script_texts = {
    // KEYS meta, log; ARGV 1 channel, 2 message, 3 mark, 4 epoch for a log that begins,
    // 5 max_messages, 6 max_bytes, 7 max_age in ms, 8 position_age in ms; then more messages, each
    // with its mark
    R"(
local many = math.floor(#ARGV / 2) - 3
local m = redis.call('HMGET', KEYS[1], 'e', 'n', 'k', 'b')
local e, n, k, b = m[1], tonumber(m[2] or 0), m[3] or '------', tonumber(m[4] or 0)
local begins = not e or n + many > 9007199254740991
if begins then e, n, k, b = ARGV[4], 0, '------', 0 end
local entries, bytes, last = {}, 0, k
for i = 1, many do
  local at = i == 1 and 2 or 2 * i + 5
  local mark = ARGV[at + 1]
  entries[i] = '{"v":1,"at":["' .. e .. '",' .. string.format('%.0f', n + i) .. ',"' .. mark
    .. '","' .. last .. '"],' .. string.sub(ARGV[at], 2)
  bytes, last = bytes + #entries[i], mark
end
local count = redis.call('RPUSH', KEYS[2], unpack(entries))
if begins and count > many then
  redis.call('DEL', KEYS[2])
  count = redis.call('RPUSH', KEYS[2], unpack(entries))
end
b = count == many and bytes or b + bytes
local max_messages, max_bytes, dropped = tonumber(ARGV[5]), tonumber(ARGV[6]), 0
while count > 1 and dropped < 256 + many and (count > max_messages or b > max_bytes) do
  b = b - #redis.call('LPOP', KEYS[2])
  count = count - 1
  dropped = dropped + 1
end
redis.call('HSET', KEYS[1], 'e', e, 'n', string.format('%.0f', n + many), 'k', last,
  'b', string.format('%.0f', b))
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
local reply = {e, string.format('%.0f', n + 1), k}
for i = 1, many do
  local receivers = redis.pcall('PUBLISH', ARGV[1], entries[i])
  reply[i + 3] = type(receivers) == 'number' and receivers or -1
end
return reply
)",
    // KEYS meta, log; ARGV 1 number or '', 2 epoch and 3 mark for a log that begins, 4 max_age,
    // 5 position_age, 6 how many messages
    R"(
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local m = redis.call('HMGET', KEYS[1], 'e', 'n', 'k')
local e, n, k = m[1], m[2], m[3]
if not e then
  e, n, k = ARGV[2], '0', ARGV[3]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', e, 'n', n, 'k', k, 'b', '0')
end
if n == '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
local top, entries = tonumber(n), {}
if ARGV[1] ~= '' and tonumber(ARGV[1]) < top then
  local first = top - redis.call('LLEN', KEYS[2]) + 1
  local from = math.max(tonumber(ARGV[1]) + 1 - first, 0)
  entries = redis.call('LRANGE', KEYS[2], from, from + tonumber(ARGV[6]) - 1)
end
return {e, n, k, entries}
)",
    // KEYS meta, log; ARGV 1 the expected epoch, or '' to drop the log, 2 the new epoch, 3 mark for
    // a log that begins, 4 position_age, 5 channel, 6 the room as JSON
    R"(
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local m = redis.call('HMGET', KEYS[1], 'e', 'n', 'k')
local e, n, k = m[1], m[2] or '0', m[3] or ARGV[3]
if not e or ARGV[1] == '' or e == ARGV[1] then
  if not e or ARGV[1] == '' then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[1], 'b', '0')
  end
  e = ARGV[2]
  redis.call('HSET', KEYS[1], 'e', e, 'n', n, 'k', k)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.pcall('PUBLISH', ARGV[5], '{"v":1,"at":["' .. e .. '",' .. n .. ',"' .. k .. '","' .. k
    .. '"],"of":' .. ARGV[6] .. ',"room":null,"rooms":[]}')
end
return {e, n, k}
)",
};

[[nodiscard]] inline std::string meta_key(const RedisOptions& options, std::string_view room) {
  return options.channel + ":meta:" + std::string(room);
}
[[nodiscard]] inline std::string log_key(const RedisOptions& options, std::string_view room) {
  return options.channel + ":log:" + std::string(room);
}

/// The place of a recorded message in the log of its room.
struct RecordStamp {
  Position at = {};
  Mark before = {};  ///< The mark of the message before it.
};

/// Removes a stamp from the front of @p text, where the scripts write it. Returns nullopt and
/// changes nothing if @p text begins otherwise.
[[nodiscard]] inline std::optional<RecordStamp> cut_record_stamp(std::string& text) {
  constexpr std::string_view begin = R"({"v":1,"at":[")";
  constexpr std::size_t epoch_size = 8;
  constexpr std::size_t mark_size = 6;
  std::string_view rest = text;
  const auto take = [&](std::string_view expected) {
    if (!rest.starts_with(expected)) return false;
    rest.remove_prefix(expected.size());
    return true;
  };
  const auto tag = [&](std::size_t size) {
    const std::string_view found = rest.substr(0, size);
    rest.remove_prefix(found.size());
    return found;
  };
  if (!take(begin)) return std::nullopt;
  const auto epoch = Epoch::parse(tag(epoch_size));
  if (!epoch || !take("\",")) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number > Position::max_number) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (!take(",\"")) return std::nullopt;
  const auto mark = Mark::parse(tag(mark_size));
  if (!mark || !take("\",\"")) return std::nullopt;
  const auto before = Mark::parse(tag(mark_size));
  if (!before || !take("\"],")) return std::nullopt;
  const std::size_t at = text.size() - rest.size() - 1;
  text[at] = '{';
  text.erase(0, at);
  return RecordStamp{{*epoch, number, *mark}, *before};
}

/// Why the reply to `HistoryScript::record` shows that the script cannot be used; null: it can.
[[nodiscard]] inline const char* why_no_record(const RedisReply& reply) {
  const bool is_published = reply.elements.size() != 4 || !reply.elements[3].is_integer() ||
                            reply.elements[3].integer >= 0;
  return is_published ? nullptr : "the scripts of the history may not PUBLISH";
}

/// Trials of the scripts, on the keys of the room without a name. The second message drops the
/// first one.
[[nodiscard]] inline std::vector<RedisTrial> history_trials(const RedisShared& shared) {
  const std::string meta = meta_key(shared.options(), "");
  const std::string log = log_key(shared.options(), "");
  const std::string& channel = shared.probe_channel();
  using Script = HistoryScript;
  const RedisTrial record{
      number_of(Script::record),
      {meta, log, channel, "{\"probe\":true}", "------", "--------", "1", "4096", "1000", "1000"},
      2,
      why_no_record};
  return {
      record,
      record,
      {number_of(Script::read), {meta, log, "0", "--------", "------", "1000", "1000", "1"}},
      {number_of(Script::fork), {meta, log, "", "--------", "------", "1000", channel, "\"\""}}};
}

/// The reply to one of several messages that were recorded as one: its epoch, number and receivers.
/// The reply to all has the number of the first one and the receivers of each.
[[nodiscard]] inline RedisReply recorded_reply(const RedisReply& all, std::size_t which) {
  RedisReply reply;
  if (all.elements.size() < which + 4) return reply;
  std::string number = all.elements[1].text;
  if (which > 0) number = std::to_string(std::strtoull(number.c_str(), nullptr, 10) + which);
  reply.elements = {all.elements[0], {.text = std::move(number)}, all.elements[3 + which]};
  return reply;
}
/// How messages are recorded as one: each has its text and its mark.
inline constexpr RedisBatch recorded_messages = {3, 2, recorded_reply};

}  // namespace roost::detail
