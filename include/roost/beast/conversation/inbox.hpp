// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/runtime/detail/sleeper.hpp"
#include "roost/runtime/detail/wait_list.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/message.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

class Conversation;

/// What a conversation and its `BeastWebSocket` share, so that either may go first: the message
/// that waits to be taken, and how it ended.
struct Inbox {
  boost::asio::any_io_executor executor;  // none once it is down: the context may be gone
  Conversation* conversation = nullptr;   // null once it is down
  std::optional<Message> message;
  std::optional<Disconnect> ended;
  Clock::time_point last_activity{};
  SocketObserver* observer = nullptr;
  Sleeper receiver;  // until a message has come, or it has ended
  WaitList downed;

  void pong(std::string_view payload) {
    if (observer) observer->on_pong(payload);
  }
  void end(const Disconnect& how) {
    if (ended) return;
    ended = how;
    receiver.wake();
    if (observer) observer->on_closed(how);
  }
  void go_down(Clock::time_point activity) {
    last_activity = activity;
    if (!ended) ended = Disconnect{};
    if (auto* const told = std::exchange(observer, nullptr)) told->on_sink_gone();
    conversation = nullptr;
    receiver.wake();
    executor = boost::asio::any_io_executor();
    downed.notify_all();
  }
};

}  // namespace roost::detail
