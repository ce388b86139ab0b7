// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/execution_context.hpp>
#include <mutex>
#include <vector>

namespace roost::detail {

/// What wants to be told that its `io_context` is being destroyed, so that it can let go of the
/// sockets while these can still be destroyed.
class ContextGuard {
 public:
  explicit ContextGuard(boost::asio::execution_context& context)
      : service_(&boost::asio::use_service<Service>(context)) {
    service_->add(*this);
  }
  ContextGuard(const ContextGuard&) = delete;
  ContextGuard& operator=(const ContextGuard&) = delete;

 protected:
  virtual ~ContextGuard() { leave_context(); }

  void leave_context() noexcept {
    if (service_) service_->remove(*this);
    service_ = nullptr;
  }

 private:
  virtual void on_context_destroyed() noexcept = 0;

  class Service final : public boost::asio::execution_context::service {
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
      // One at a time: each may destroy others.
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

    // Strands of one context may make managers on several threads.
    std::mutex mutex_;
    std::vector<ContextGuard*> guards_;
  };

  Service* service_;
};

}  // namespace roost::detail
