// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <utility>

namespace roost::detail {

/// What a session runs, whatever its type: the session is compiled once for all handlers.
template <class ConnectionPtr>
class SessionHandler {
 public:
  SessionHandler() = default;
  SessionHandler(const SessionHandler&) = delete;
  SessionHandler& operator=(const SessionHandler&) = delete;
  virtual ~SessionHandler() = default;

  virtual boost::asio::awaitable<void> call(ConnectionPtr connection) = 0;
};

template <class ConnectionPtr, class Handler>
class SessionHandlerOf final : public SessionHandler<ConnectionPtr> {
 public:
  explicit SessionHandlerOf(Handler handler) : handler_(std::move(handler)) {}

  boost::asio::awaitable<void> call(ConnectionPtr connection) override {
    return handler_(std::move(connection));
  }

 private:
  Handler handler_;
};

}  // namespace roost::detail
