// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/execution_context.hpp>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// What wants to be told that its `io_context` is being destroyed, so that it can let go of the
/// sockets while these can still be destroyed.
class ContextGuard {
 public:
  explicit ContextGuard(boost::asio::execution_context& context);
  ContextGuard(const ContextGuard&) = delete;
  ContextGuard& operator=(const ContextGuard&) = delete;

 protected:
  virtual ~ContextGuard();

  void leave_context() noexcept;

 private:
  virtual void on_context_destroyed() noexcept = 0;

  class Service;
  Service* service_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/context_guard.ipp"
#endif
