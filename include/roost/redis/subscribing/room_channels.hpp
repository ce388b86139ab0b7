// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/options.hpp"
#include "roost/redis/subscribing/subscriber.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

inline std::string room_channel(const RedisOptions& options, std::string_view room) {
  return options.channel + ":room:" + std::string(room);
}

/// Brings what bound managers tell of their rooms, from any thread, to the subscriber.
class RedisRooms final : public RoomRouting {
 public:
  RedisRooms(RedisSharedPtr shared, std::shared_ptr<RedisSubscriber> subscriber)
      : shared_(std::move(shared)), subscriber_(std::move(subscriber)) {}

  void enter(std::string_view room) override { post(&RedisSubscriber::enter, room); }
  void leave(std::string_view room) noexcept override {
    try {
      post(&RedisSubscriber::leave, room);
    } catch (...) {  // the room stays subscribed, which does no harm
    }
  }
  boost::asio::awaitable<void> settled() override {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return nothing();
    return on_executor(executor, RedisSubscriber::settled(subscriber_, executor));
  }

 private:
  using Member = void (RedisSubscriber::*)(const std::string&);

  void post(Member member, std::string_view room) {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return;
    boost::asio::post(executor, [subscriber = subscriber_, member,
                                 channel = room_channel(shared_->options(), room)] {
      ((*subscriber).*member)(channel);
    });
  }
  static boost::asio::awaitable<void> nothing() { co_return; }

  const RedisSharedPtr shared_;
  const std::shared_ptr<RedisSubscriber> subscriber_;
};

}  // namespace roost::detail
