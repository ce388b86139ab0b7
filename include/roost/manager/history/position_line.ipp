// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/base/text/text.hpp"
#include "roost/manager/history/position_line.hpp"

namespace roost::detail {

ROOST_DECL std::string encode_room(std::string_view room) {
  static constexpr std::string_view hex = "0123456789ABCDEF";
  static constexpr std::string_view as_it_is =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  if (room.find_first_not_of(as_it_is) == std::string_view::npos) return std::string(room);
  std::string encoded;
  for (const char c : room) {
    if (as_it_is.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', hex[byte >> 4U], hex[byte & 0xFU]};
    }
  }
  return encoded;
}

ROOST_DECL std::string position_line(std::string_view room, std::string_view position) {
  std::string line = encode_room(room);
  if (!position.empty()) (line += ':') += position;
  return line;
}

ROOST_DECL std::string joined_line(std::string_view room, std::string_view position,
                                   bool is_recovered, std::optional<LossReason> lost) {
  std::string line = position_line(room, position) + " joined";
  if (is_recovered) line += " recovered";
  if (lost) (line += " lost=") += to_string(*lost);
  return line;
}

ROOST_DECL std::string lost_line(std::string_view room, std::string_view position,
                                 LossReason reason) {
  return (position_line(room, position) += " lost=") += to_string(reason);
}

ROOST_DECL std::string left_line(std::string_view room) { return encode_room(room) + " left"; }

ROOST_DECL ResumeToken::ResumeToken(std::string_view text) : is_damaged_(text.size() > max_bytes) {
  text = text.substr(0, max_bytes);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    add(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

ROOST_DECL void ResumeToken::add(std::string_view part) {
  const std::size_t colon = part.find(':');
  auto room = percent_decode(part.substr(0, colon));
  if (colon == std::string_view::npos || !room || room->empty() || points_.size() == max_rooms) {
    is_damaged_ = true;
    return;
  }
  points_.push_back({*std::move(room), std::string(part.substr(colon + 1))});
}

ROOST_DECL std::optional<std::string_view> ResumeToken::since(
    std::string_view room) const noexcept {
  // If a client names a room twice, its last position counts.
  for (auto point = points_.rbegin(); point != points_.rend(); ++point) {
    if (point->room == room) return point->position;
  }
  if (is_damaged_) return std::string_view();
  return std::nullopt;
}

}  // namespace roost::detail
