// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/handler_queues.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/options.hpp"
#include "roost/redis/publishing/publisher.hpp"
#include "roost/redis/publishing/spool.hpp"
#include "roost/redis/subscribing/room_channels.hpp"
#include "roost/redis/subscribing/subscriber.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// What a `RedisBackplane` is made of, and what its calls do. The awaitables hold it, and may be
/// awaited when the backplane, or its `io_context`, is gone.
class RedisReplica final : private ContextGuard {
 public:
  using Ptr = std::shared_ptr<RedisReplica>;

  RedisReplica(boost::asio::any_io_executor executor, RedisOptions options)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        shared(std::make_shared<RedisShared>(executor, validated(std::move(options)))),
        inbound(std::make_shared<Inbound>(executor,
                                          InboundLimits{shared->options().max_queued_messages,
                                                        shared->options().max_queued_bytes},
                                          shared->options().logger)),
        publisher(std::make_shared<RedisPublisher>(shared)),
        subscriber(std::make_shared<RedisSubscriber>(shared, publisher, inbound)) {
    publisher->on_unusable([heard = std::weak_ptr(subscriber)](const std::string& why) {
      if (const auto its_subscriber = heard.lock()) its_subscriber->drop_connection(why);
    });
  }

  void close() noexcept {
    leave_context();
    inbound->close();
    shared->drop_executor();
    subscriber->end();
    publisher->end();
  }

  const RedisSharedPtr shared;
  const std::shared_ptr<Inbound> inbound;
  const std::shared_ptr<RedisPublisher> publisher;
  const std::shared_ptr<RedisSubscriber> subscriber;

  static boost::asio::awaitable<void> start(Ptr self, bool is_required) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    if (!executor) throw_gone();
    co_await on_executor(executor, start_here(std::move(self), is_required));
  }
  static boost::asio::awaitable<void> stop(Ptr self) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    if (executor) co_await on_executor(executor, stop_here(std::move(self)));
  }
  static boost::asio::awaitable<Published> publish(Ptr self, OutgoingMessage message) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    if (!executor) co_return Published{.error = make_error_code(errc::backplane_unavailable)};
    const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
    if (here != executor) {
      auto publishing = publish(std::move(self), std::move(message));
      co_return co_await on_executor(executor, std::move(publishing));
    }
    const Delivered here_too = deliver_here(*self, message);
    auto channel = channel_of(self->shared->options(), message);
    const auto outcome = self->publisher->push(std::move(channel), std::move(message.text));
    while (!outcome->known) {
      co_await wait(outcome->changed, executor, self->shared->clock());
    }
    Published published = *outcome->known;
    published.local = here_too.taken;
    published.missed = here_too.missed;
    if (here_too.missed > 0 && !published.error) {
      published.error = make_error_code(errc::backplane_full);
    }
    co_return published;
  }
  static boost::asio::awaitable<void> ready(Ptr self) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    if (!executor) throw_gone();
    co_await on_executor(executor, wait_ready(std::move(self)));
  }

 private:
  // A strand must go before its context.
  void on_context_destroyed() noexcept override {
    inbound->close();
    shared->drop_executor();
    subscriber->release();
    publisher->release();
  }

  [[noreturn]] static void throw_gone() {
    throw Error(errc::backplane_unavailable, "the RedisBackplane or its io_context is gone");
  }
  static boost::asio::awaitable<void> start_here(Ptr self, bool is_required) {
    if (self->shared->is_gone()) throw_gone();
    const bool is_first = self->subscriber->state() == RedisState::stopped;
    if (is_first) {
      self->subscriber->begin();
      self->publisher->begin();
    }
    if (!is_required) co_return;
    const std::uint64_t generation = self->subscriber->generation();
    std::exception_ptr error;
    try {
      co_await wait_first_outcome(self);
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) co_return;
    if (is_first && self->subscriber->generation() == generation) {
      self->subscriber->end();
      if (self->publisher->is_unused()) self->publisher->end();
    }
    std::rethrow_exception(error);
  }
  static boost::asio::awaitable<void> wait_first_outcome(Ptr self) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    while (self->subscriber->state() == RedisState::connecting) {
      co_await wait(self->subscriber->changed, executor, self->shared->clock());
    }
    if (self->shared->is_gone()) throw_gone();
    if (self->subscriber->state() == RedisState::down) {
      throw Error(errc::backplane_unavailable, self->subscriber->why());
    }
    if (!self->subscriber->hears()) throw Error(errc::backplane_unavailable, "it was stopped");
  }
  static boost::asio::awaitable<void> stop_here(Ptr self) {
    const auto executor = self->shared->executor();
    if (!executor) co_return;
    Clock& clock = self->shared->clock();
    const Clock::time_point deadline = clock.now() + RedisPublisher::stop_grace;
    for (const auto& ending : stop_now(*self)) {
      bool is_in_time = true;
      while (is_in_time && ending && !ending->is_done()) {
        is_in_time = co_await wait(ending->ended, executor, clock, deadline);
      }
    }
  }
  static std::array<std::shared_ptr<Child<void>>, 2> stop_now(RedisReplica& self) {
    auto subscriber = self.subscriber->end();
    self.inbound->discard();
    return {std::move(subscriber), self.publisher->stop()};
  }
  static std::string channel_of(const RedisOptions& options, const OutgoingMessage& message) {
    const bool is_for_room = options.routing == Routing::per_room && message.room;
    return is_for_room ? room_channel(options, *message.room) : options.channel;
  }
  static Delivered deliver_here(RedisReplica& self, const OutgoingMessage& message) {
    ++self.shared->stats.published;
    if (self.subscriber->state() == RedisState::stopped) return {};
    if (!self.inbound->is_wanted(message.origin)) return {};
    // What a reader in another process sees, rather than a copy.
    return self.inbound->deliver(std::make_shared<const Parcel>(message.text),
                                 {message.origin, self.shared->executor()});
  }
  static boost::asio::awaitable<void> wait_ready(Ptr self) {
    const boost::asio::any_io_executor executor = self->shared->executor();
    while (self->subscriber->state() != RedisState::subscribed) {
      if (self->shared->is_gone()) throw_gone();
      if (self->subscriber->state() == RedisState::stopped) {
        throw Error(errc::backplane_unavailable, "it is not started");
      }
      co_await wait(self->subscriber->changed, executor, self->shared->clock());
    }
  }
};

}  // namespace roost::detail
