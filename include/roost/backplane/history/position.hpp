// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Some characters that tell one thing from another: letters, digits, `-` and `_`, which need no
/// escape in a URL. Without a value: all `-`.
template <std::size_t length>
struct HistoryTag {
  static constexpr std::string_view alphabet =
      "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

  std::array<char, length> chars = [] {
    std::array<char, length> none{};
    none.fill('-');
    return none;
  }();

  /// Nothing unless @p text is exactly one.
  [[nodiscard]] static constexpr std::optional<HistoryTag> parse(std::string_view text) noexcept {
    HistoryTag tag;
    if (text.size() != length) return std::nullopt;
    for (std::size_t i = 0; i < length; ++i) {
      if (alphabet.find(text[i]) == std::string_view::npos) return std::nullopt;
      tag.chars[i] = text[i];
    }
    return tag;
  }

  /// From a generator of random bits, which its caller seeds.
  template <class Generator>
  [[nodiscard]] static HistoryTag random(Generator& generator) {
    static_assert(alphabet.size() == 64 && length <= 10);
    std::uint64_t bits = std::uniform_int_distribution<std::uint64_t>()(generator);
    HistoryTag tag;
    for (char& c : tag.chars) {
      c = alphabet[bits & 63];
      bits >>= 6;
    }
    return tag;
  }

  [[nodiscard]] constexpr std::string_view view() const noexcept {
    return {chars.data(), chars.size()};
  }
  [[nodiscard]] bool operator==(const HistoryTag&) const noexcept = default;
};

/// Changes each time a log begins or has lost something.
using Epoch = HistoryTag<8>;
/// Given to each message by its publisher: numbers may be used again after a failover, marks not.
using Mark = HistoryTag<6>;

/// A place in the log of a room, after the message with this number. For clients it is an opaque
/// text, `epoch.number.mark`; it is neither a secret nor a right.
struct Position {
  /// The largest number that JSON and the scripts of Redis can count to.
  static constexpr std::uint64_t max_number = (std::uint64_t{1} << 53) - 1;
  /// Of its text.
  static constexpr std::size_t max_length = 8 + 1 + 16 + 1 + 6;

  Epoch epoch = {};
  std::uint64_t number = 0;
  Mark mark = {};

  [[nodiscard]] bool operator==(const Position&) const noexcept = default;
};

/// Appends the text of @p position.
void append_position(std::string& text, const Position& position);
[[nodiscard]] std::string to_string(const Position& position);

/// What `to_string` makes, and nothing else: no sign, no leading zero, no space.
[[nodiscard]] std::optional<Position> parse_position(std::string_view text) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/history/position.ipp"
#endif
