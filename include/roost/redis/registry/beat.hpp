// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "roost/backplane/control.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/connection/codec.hpp"

namespace roost::detail {

/// What Redis answers to a beat.
struct BeatAnswer {
  bool is_buried = false;               ///< The replica was taken for dead, and needs another name.
  std::vector<ReplicaInfo> alive = {};  ///< Sorted by name; the one that has beaten included.
  std::vector<std::string> buried = {};    ///< The names of the last day.
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
  if (parts.size() != 4 || parts[0].text != "alive") return std::nullopt;
  const std::vector<RedisReply>& alive = parts[1].elements;
  for (std::size_t i = 0; i + 1 < alive.size(); i += 2) {
    if (is_utf8(alive[i].text)) {
      answer.alive.push_back(decode_info(alive[i].text, alive[i + 1].text));
    }
  }
  std::ranges::sort(answer.alive, {}, &ReplicaInfo::name);
  for (const RedisReply& name : parts[2].elements) answer.buried.push_back(name.text);
  for (const RedisReply& name : parts[3].elements) answer.to_clean.push_back(name.text);
  return answer;
}

}  // namespace roost::detail
