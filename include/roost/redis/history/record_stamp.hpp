// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "roost/backplane/history/position.hpp"

namespace roost::detail {

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

}  // namespace roost::detail
