// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/execution_context.hpp>
#include <memory>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/service/detail/service_state.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

template <WebSocketLike Ws>
class Service;

namespace detail {

/// How Asio keeps a `Service`, for the life of its context.
template <class Ws>
class Attached final : public boost::asio::execution_context::service {
 public:
  using key_type = Attached;
  static inline boost::asio::execution_context::id id;

  /// What Asio calls for a context that has none.
  explicit Attached(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {
    throw Error(errc::not_attached, "init_websockets was not called for this context");
  }
  Attached(boost::asio::execution_context& context, std::shared_ptr<Serving<Ws>> serving)
      : boost::asio::execution_context::service(context),
        service_(std::make_unique<Service<Ws>>(std::move(serving))) {}

  [[nodiscard]] Service<Ws>& service() noexcept { return *service_; }

 private:
  // Manager and monitor let go of the context by themselves.
  void shutdown() noexcept override {}

  const std::unique_ptr<Service<Ws>> service_;
};

template <class Ws, class Make>
Service<Ws>& attach(boost::asio::execution_context& context, Make make) {
  if (boost::asio::has_service<Attached<Ws>>(context)) {
    throw Error(errc::already_attached, "init_websockets was called before for this context");
  }
  return boost::asio::make_service<Attached<Ws>>(context, make()).service();
}

}  // namespace detail
}  // namespace roost
