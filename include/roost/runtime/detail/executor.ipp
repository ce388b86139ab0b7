// SPDX-License-Identifier: MIT
#pragma once

#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

class ContextGuard::Service final : public boost::asio::execution_context::service {
 public:
  using key_type = Service;
  static inline boost::asio::execution_context::id id;
  explicit Service(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}

  void add(ContextGuard& guard) {
    const std::lock_guard lock(mutex_);
    guards_.push_back(&guard);
  }
  void remove(ContextGuard& guard) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(guards_, &guard);
  }

 private:
  void shutdown() noexcept override {
    // One at a time: a guard may destroy other guards.
    while (ContextGuard* const guard = take_first()) guard->on_context_destroyed();
  }
  ContextGuard* take_first() noexcept {
    const std::lock_guard lock(mutex_);
    if (guards_.empty()) return nullptr;
    ContextGuard* const guard = guards_.front();
    guards_.erase(guards_.begin());
    guard->service_ = nullptr;
    return guard;
  }

  // Managers on different strands of one context may be made on several threads.
  std::mutex mutex_;
  std::vector<ContextGuard*> guards_;
};

ROOST_DECL ContextGuard::ContextGuard(boost::asio::execution_context& context)
    : service_(&boost::asio::use_service<Service>(context)) {
  service_->add(*this);
}

ROOST_DECL ContextGuard::~ContextGuard() { leave_context(); }

ROOST_DECL void ContextGuard::leave_context() noexcept {
  if (service_) service_->remove(*this);
  service_ = nullptr;
}

}  // namespace roost::detail
