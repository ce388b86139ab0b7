// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "roost/redis/options.hpp"

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

enum class RedisScript : unsigned char {
  record,  ///< Appends a message, and publishes it.
  read,    ///< What comes after a number.
  fork,    ///< Gives the log another epoch, if it has the expected one still; or drops it.
};
inline constexpr std::size_t redis_scripts = 3;

/// The messages of one answer at most: no reply is larger than a `RedisReader` takes.
inline constexpr std::string_view redis_read_limit = "60";

inline constexpr std::array<std::string_view, redis_scripts> redis_script_texts = {
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

}  // namespace roost::detail
