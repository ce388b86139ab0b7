// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/build/config.hpp"

namespace roost::detail {

class WaitList;

/// Something that waits in a `WaitList`; leaves it when destroyed.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  [[nodiscard]] bool is_woken() const noexcept { return woken_; }

 protected:
  virtual ~Waiter() { unlink(); }

 private:
  friend class WaitList;
  virtual void wake() = 0;

  void unlink() noexcept;

  Waiter** previous_ = nullptr;  // the pointer that points here
  Waiter* next_ = nullptr;
  bool woken_ = false;
};

/// Who waits for something to happen. Holds pointers only, no I/O object of its own: its owner
/// may outlive the `io_context`.
class WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() { notify_all(); }

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  void add(Waiter& waiter) noexcept;

  /// Wakes all; they run later, on their executors.
  void notify_all();

 private:
  Waiter* head_ = nullptr;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/wait_list.ipp"
#endif
