// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace roost::detail {

/// The memory of all frames that a manager has sent and that somebody still holds. What many
/// recipients share counts once, and costs two steps in all, not two for each of them.
///
/// Frames may outlive their manager: the account ends with the last of both.
///
/// @par Thread safety  Any thread.
class FrameAccount {
  struct Close {
    void operator()(FrameAccount* account) const noexcept { account->subtract(owner); }
  };

 public:
  using Ptr = std::unique_ptr<FrameAccount, Close>;
  static Ptr open() { return Ptr(new FrameAccount); }

  void add(std::size_t n) noexcept { bytes_.fetch_add(n, std::memory_order_relaxed); }
  void subtract(std::size_t n) noexcept {
    if (bytes_.fetch_sub(n, std::memory_order_acq_rel) == n) delete this;
  }
  /// For the owner.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed) - owner;
  }

 private:
  static constexpr std::size_t owner = 1;  // counts as a byte, so that zero means that all are gone

  FrameAccount() = default;
  ~FrameAccount() = default;

  std::atomic<std::size_t> bytes_ = owner;
};

}  // namespace roost::detail
