// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// A recorded message. Its epoch is that of the log that it is read from: a fork gives the whole
/// log another one.
template <class Payload>
struct LogEntry {
  std::uint64_t number = 0;  ///< From 1 on.
  Mark mark = {};
  Mark before = {};         ///< The mark of the message before it, so that entries form a chain.
  std::uint32_t bytes = 0;  ///< What it counts for the limits.
  Payload payload = {};

  [[nodiscard]] Position at(const Epoch& epoch) const noexcept { return {epoch, number, mark}; }
};

/// Whether @p entry is the one after @p last, of the same epoch.
template <class Payload>
[[nodiscard]] bool follows(const LogEntry<Payload>& entry, const LogEntry<Payload>& last) noexcept {
  return entry.number == last.number + 1 && entry.before == last.mark;
}

/// Whether each of @p entries follows the one before it.
template <class Payload>
[[nodiscard]] bool is_chain(std::span<const LogEntry<Payload>> entries) noexcept {
  for (std::size_t i = 1; i < entries.size(); ++i) {
    if (!follows(entries[i], entries[i - 1])) return false;
  }
  return true;
}

/// The mark of the message with @p number, as far as the chain of @p entries tells it.
template <class Payload>
[[nodiscard]] std::optional<Mark> mark_of(std::uint64_t number,
                                          std::span<const LogEntry<Payload>> entries) noexcept {
  if (entries.empty() || number > entries.back().number) return std::nullopt;
  const std::uint64_t first = entries.front().number;
  if (number + 1 < first) return std::nullopt;
  if (number + 1 == first) return entries.front().before;
  return entries[static_cast<std::size_t>(number - first)].mark;
}

/// What the store answers to a question: where the log ends, and the entries after the number that
/// was asked for, or the first of them.
template <class Payload>
struct LogAnswer {
  Position top = {};
  std::vector<LogEntry<Payload>> entries = {};

  [[nodiscard]] std::span<const LogEntry<Payload>> all() const noexcept { return entries; }
  /// Whether the entries are a chain that may lead to the top.
  [[nodiscard]] bool is_sound() const noexcept {
    if (entries.empty()) return true;
    const LogEntry<Payload>& last = entries.back();
    const bool leads_up = last.number < top.number || last.at(top.epoch) == top;
    return leads_up && is_chain(all());
  }
};

/// A queue in one piece of memory, which costs nothing while it is empty.
template <class T>
class FlatQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - first_; }
  [[nodiscard]] std::span<const T> all() const noexcept {
    return std::span<const T>(items_).subspan(first_);
  }
  [[nodiscard]] const T& front() const noexcept { return items_[first_]; }
  [[nodiscard]] const T& back() const noexcept { return items_.back(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  /// Before the others.
  void push_front(std::span<const T> items) {
    drop_gap();
    items_.insert(items_.begin(), items.begin(), items.end());
  }
  void pop_front() {
    items_[first_++] = T{};
    if (first_ == items_.size()) return clear();
    // Each item is moved once at most for each that was taken out.
    if (first_ > items_.size() / 2) drop_gap();
  }
  /// Gives its memory back too.
  void clear() noexcept {
    items_ = {};
    first_ = 0;
  }

 private:
  void drop_gap() {
    items_.erase(items_.begin(), std::next(items_.begin(), static_cast<std::ptrdiff_t>(first_)));
    first_ = 0;
  }

  std::vector<T> items_;
  std::size_t first_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/history/position.ipp"
#endif
