// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace load {

/// Durations in nanoseconds, each known to 1/64.
class Histogram {
 public:
  void add(std::uint64_t value) noexcept {
    ++counts_[index(value)];
    ++size_;
    max_ = std::max(max_, value);
  }
  void clear() noexcept { *this = Histogram(); }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }

  /// The value that the share @p q of all does not exceed; 0 without any.
  [[nodiscard]] std::uint64_t quantile(double q) const noexcept {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(size_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > rank) return std::min(upper_bound(i), max_);
    }
    return max_;
  }

 private:
  static constexpr int bits = 6;

  static std::size_t index(std::uint64_t value) noexcept {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - bits - 1);
    return (static_cast<std::size_t>(shift) << bits) + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t upper_bound(std::size_t i) noexcept {
    if (i < std::size_t{2} << bits) return i;
    const std::size_t shift = (i >> bits) - 1;
    const std::uint64_t mantissa = (i & ((1u << bits) - 1)) | (1u << bits);
    return ((mantissa + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((65 - bits) << bits);
  std::uint64_t size_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace load
