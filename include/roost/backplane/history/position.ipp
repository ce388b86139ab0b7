// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <system_error>

#include "roost/backplane/history/position.hpp"

namespace roost::detail {

ROOST_DECL void append_position(std::string& text, const Position& position) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, position.number).ptr;
  text += position.epoch.view();
  text += '.';
  text.append(digits, end);
  text += '.';
  text += position.mark.view();
}

ROOST_DECL std::string to_string(const Position& position) {
  std::string text;
  text.reserve(Position::max_length);
  append_position(text, position);
  return text;
}

ROOST_DECL std::optional<Position> parse_position(std::string_view text) noexcept {
  constexpr std::size_t epoch_length = 8;
  constexpr std::size_t mark_length = 6;
  constexpr std::size_t around = epoch_length + 1 + 1 + mark_length;
  if (text.size() <= around || text.size() > Position::max_length) return std::nullopt;
  const std::string_view digits = text.substr(epoch_length + 1, text.size() - around);
  const auto epoch = Epoch::parse(text.substr(0, epoch_length));
  const auto mark = Mark::parse(text.substr(text.size() - mark_length));
  if (!epoch || !mark || text[epoch_length] != '.') return std::nullopt;
  if (text[text.size() - mark_length - 1] != '.') return std::nullopt;
  if (digits.front() == '0' && digits.size() > 1) return std::nullopt;
  Position position{*epoch, 0, *mark};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), position.number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (position.number > Position::max_number) return std::nullopt;
  return position;
}

}  // namespace roost::detail
