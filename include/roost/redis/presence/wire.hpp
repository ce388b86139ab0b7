// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "roost/backplane/presence/presence_list.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/connection/codec.hpp"

// What the scripts of presence publish and answer; see `scripts.hpp`. Anybody may write to Redis,
// so what cannot be read is ignored.

namespace roost::detail {

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
