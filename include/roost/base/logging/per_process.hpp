// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <utility>

namespace roost::detail {

/// One object for each process. A child made by `fork` has a copy of its parent's object, but none
/// of the threads that belong to it, and maybe a mutex that a lost thread holds for ever: it leaves
/// the copy alone, and makes an object of its own when it needs one.
///
/// @par Thread safety  From any thread.
template <class T>
class PerProcess {
 public:
  PerProcess() = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  /// Destroys that of this process. Those of its ancestors cannot be destroyed here.
  ~PerProcess() {
    Node* const node = newest_.load(std::memory_order_acquire);
    if (is_ours(node)) delete node;
  }

  /// That of this process; null while it has none.
  [[nodiscard]] T* find() const noexcept {
    Node* const node = newest_.load(std::memory_order_acquire);
    return is_ours(node) ? &node->value : nullptr;
  }

  /// That of this process, which is made where there is none yet.
  /// @param make  returns a `T`; of several threads that make one, one wins
  template <class Make>
  T& get(Make make) {
    Node* node = newest_.load(std::memory_order_acquire);
    if (is_ours(node)) return node->value;
    auto fresh = std::make_unique<Node>(Node{::getpid(), make(), node});
    if (newest_.compare_exchange_strong(node, fresh.get(), std::memory_order_acq_rel)) {
      return fresh.release()->value;
    }
    return node->value;
  }

 private:
  struct Node {
    pid_t process;
    T value;
    Node* of_parent;  // kept, so that it is not taken for a leak
  };

  [[nodiscard]] static bool is_ours(const Node* node) noexcept {
    return node && node->process == ::getpid();
  }

  std::atomic<Node*> newest_ = nullptr;
};

}  // namespace roost::detail
