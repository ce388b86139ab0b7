// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "roost/backplane/control.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/options.hpp"

// How the registry is kept in Redis: a hash under <channel>:replicas, with the fields
//   =        the time of the last beat of any replica, in ms, by the clock of Redis, as all times
//   +<name>  a replica that is alive: "<end of its lease> <what it tells about itself, as JSON>"
//   -<name>  a replica that was buried: "<when> <when it is cleaned up next> <delay after that>"
// The buried are kept for a day, and cleaned up again and again meanwhile, with growing delays,
// since TCP may deliver the last commands of a dead replica late.

namespace roost::detail {

enum class RegistryScript : unsigned char {
  beat,  ///< Says that a replica is alive, or leaves; tells about all.
  tell,  ///< Publishes a message.
};

inline constexpr std::array<std::string_view, 2> registry_script_texts = {
    // KEYS registry; ARGV 1 name, 2 'beat' or 'leave', 3 lease, 4 interval, 5 what it tells about
    // itself, or when what it leaves is cleaned up, 6 how long the buried are kept; then the buried
    // of whom something was left.
    // If nobody has beaten for longer than two intervals, or the last beat lies in the future, the
    // leases are moved by the gap, so that an outage or another clock buries nobody.
    R"(
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local me, lease, interval, keep = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local function text(number) return string.format('%.0f', number) end
local function put(field, ...)
  redis.call('HSET', KEYS[1], field, table.concat({...}, ' '))
end
local all = redis.call('HGETALL', KEYS[1])
redis.call('HSET', KEYS[1], '=', text(now))
redis.call('PEXPIRE', KEYS[1], text(keep + lease))
local last, alive, buried = now, {}, {}
for i = 1, #all, 2 do
  local kind, name, value = string.sub(all[i], 1, 1), string.sub(all[i], 2), all[i + 1]
  if kind == '=' then
    last = tonumber(value) or now
  elseif kind == '+' then
    local ends, info = string.match(value, '^(%-?%d+) (.*)$')
    if ends then alive[name] = {tonumber(ends), info} end
  elseif kind == '-' then
    local at, due, delay = string.match(value, '^(%-?%d+) (%-?%d+) (%d+)$')
    if at then buried[name] = {tonumber(at), tonumber(due), tonumber(delay)} end
  end
end
local gap = now - last
if gap < 0 or gap > 2 * interval then
  for name, it in pairs(alive) do
    it[1] = it[1] + gap
    put('+' .. name, text(it[1]), it[2])
  end
  for name, it in pairs(buried) do
    it[1], it[2] = it[1] + gap, it[2] + gap
    put('-' .. name, text(it[1]), text(it[2]), text(it[3]))
  end
end
local function bury(name, due)
  redis.call('HDEL', KEYS[1], '+' .. name)
  alive[name], buried[name] = nil, {now, due, lease}
  put('-' .. name, text(now), text(due), text(lease))
end
for i = 7, #ARGV do
  local it = buried[ARGV[i]]
  if it then
    it[2], it[3] = now + lease, lease
    put('-' .. ARGV[i], text(it[1]), text(it[2]), text(it[3]))
  end
end
if ARGV[2] == 'leave' then
  bury(me, now + tonumber(ARGV[5]))
  return {'left'}
end
if buried[me] then return {'buried'} end
alive[me] = {now + lease, ARGV[5]}
put('+' .. me, text(now + lease), ARGV[5])
local names, clean, gone = {}, {}, {}
for name, it in pairs(alive) do
  if it[1] < now then gone[#gone + 1] = name end
end
for i = 1, #gone do bury(gone[i], now) end
for name, it in pairs(alive) do
  names[#names + 1] = name
  names[#names + 1] = it[2]
end
for name, it in pairs(buried) do
  if it[1] + keep < now then
    redis.call('HDEL', KEYS[1], '-' .. name)
  elseif it[2] <= now then
    clean[#clean + 1] = name
    put('-' .. name, text(it[1]), text(now + it[3]), text(math.min(2 * it[3], keep)))
  end
end
return {'alive', names, clean}
)",
    // KEYS registry; ARGV 1 channel, 2 message, 3 how long the registry is kept. It begins with a
    // write, which a replica of Redis refuses.
    R"(
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
)",
};

[[nodiscard]] inline std::string registry_key(const RedisOptions& options) {
  return options.channel + ":replicas";
}

/// What Redis answers to a beat.
struct BeatAnswer {
  bool is_buried = false;               ///< The replica was taken for dead, and needs another name.
  std::vector<ReplicaInfo> alive = {};  ///< Sorted by name; the one that has beaten included.
  std::vector<std::string> to_clean = {};  ///< Those that this replica is to clean up.
};

/// What a replica tells about itself, as JSON.
[[nodiscard]] inline std::string encode_info(const ReplicaInfo& info) {
  std::string text = R"({"connections":)" + std::to_string(info.connections);
  append_json_string(text += R"(,"label":)", info.label);
  append_json_string(text += R"(,"rules":)", info.rules);
  append_json_string(text += R"(,"version":)", info.version);
  return text += '}';
}

/// Reads what a replica tells about itself; what cannot be read stays empty.
[[nodiscard]] inline ReplicaInfo decode_info(std::string name, std::string_view text) {
  ReplicaInfo info{.name = std::move(name)};
  constexpr std::size_t max_bytes = 4'096;
  if (text.size() > max_bytes || !is_utf8(text) || json_depth(text) > max_json_depth) return info;
  const nlohmann::json told = parse_json(text);
  if (!told.is_object()) return info;
  const auto read = [&](const char* field, std::string& into) {
    const auto found = told.find(field);
    if (found != told.end() && found->is_string()) into = found->get<std::string>();
  };
  read("version", info.version);
  read("label", info.label);
  read("rules", info.rules);
  const auto connections = told.find("connections");
  if (connections != told.end() && connections->is_number_unsigned()) {
    info.connections = connections->get<std::size_t>();
  }
  return info;
}

/// Reads the answer to a beat; nullopt if it is damaged.
[[nodiscard]] inline std::optional<BeatAnswer> read_beat(const RedisReply& reply) {
  BeatAnswer answer;
  const std::vector<RedisReply>& parts = reply.elements;
  if (parts.empty()) return std::nullopt;
  answer.is_buried = parts[0].text == "buried";
  if (answer.is_buried) return answer;
  if (parts.size() != 3 || parts[0].text != "alive") return std::nullopt;
  const std::vector<RedisReply>& alive = parts[1].elements;
  for (std::size_t i = 0; i + 1 < alive.size(); i += 2) {
    if (is_utf8(alive[i].text)) {
      answer.alive.push_back(decode_info(alive[i].text, alive[i + 1].text));
    }
  }
  std::ranges::sort(answer.alive, {}, &ReplicaInfo::name);
  for (const RedisReply& name : parts[2].elements) answer.to_clean.push_back(name.text);
  return answer;
}

}  // namespace roost::detail
