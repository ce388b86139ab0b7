// SPDX-License-Identifier: MIT
// Records what an outbox tells its observer.
#pragma once

#include <chrono>
#include <functional>
#include <roost/socket/detail/outbox.hpp>
#include <roost/socket/socket_observer.hpp>
#include <utility>
#include <vector>

namespace roost::test {

/// A time to begin with, for those who have no clock.
inline const detail::Outbox::time_point start{std::chrono::hours(5)};

class OutboxProbe final : public SocketObserver {
 public:
  std::vector<OutboxEvent> events;
  std::function<void(OutboxEvent)> then;  // what the observer does about it

  std::vector<OutboxEvent> take() { return std::exchange(events, {}); }

  void on_outbox(OutboxEvent event) override {
    events.push_back(event);
    if (then) then(event);
  }
  void on_closed(const Disconnect&) override {}
};

}  // namespace roost::test
