// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

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

  void unlink() noexcept {
    if (!previous_) return;
    *previous_ = next_;
    if (next_) next_->previous_ = previous_;
    previous_ = nullptr;
    next_ = nullptr;
  }

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

  void add(Waiter& waiter) noexcept {
    waiter.next_ = head_;
    waiter.previous_ = &head_;
    if (head_) head_->previous_ = &waiter.next_;
    head_ = &waiter;
  }

  /// Wakes all; they run later, on their executors.
  void notify_all() {
    while (Waiter* waiter = head_) {
      waiter->unlink();
      waiter->woken_ = true;
      waiter->wake();
    }
  }

 private:
  Waiter* head_ = nullptr;
};

}  // namespace roost::detail
