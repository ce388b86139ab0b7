// SPDX-License-Identifier: MIT
// What a fuzz target makes of its input, and how it says that something is wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace roost::fuzz {

/// Ends the run; libFuzzer keeps the input.
inline void expect(bool holds, const char* otherwise) {
  if (holds) return;
  std::fprintf(stderr, "roost: %s\n", otherwise);
  std::abort();
}

/// Choices from the front, and whatever is left.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  /// 0 once all is used up.
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return first;
  }
  std::size_t below(std::size_t n) { return byte() % n; }
  bool flag() { return (byte() & 1U) != 0; }
  /// What comes before the next line feed.
  std::string_view line() {
    const std::string_view line = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
    return line;
  }

 private:
  std::string_view rest_;
};

/// In how many pieces bytes come. The same seed cuts in the same places.
class Cuts {
 public:
  static Cuts none() { return Cuts(0); }
  /// Seed 1: single bytes.
  explicit Cuts(unsigned seed) : seed_(seed), state_(seed) {}

  template <class Take>
  void cut(std::string_view bytes, Take take) {
    while (!bytes.empty()) {
      const std::size_t n = std::min(next(), bytes.size());
      take(bytes.substr(0, n));
      bytes.remove_prefix(n);
    }
  }

 private:
  std::size_t next() {
    if (seed_ == 0) return static_cast<std::size_t>(-1);
    if (seed_ == 1) return 1;
    state_ = state_ * 1'103'515'245U + 12'345U;
    return 1 + (state_ >> 16U) % seed_;
  }

  unsigned seed_;
  unsigned state_;
};

}  // namespace roost::fuzz
