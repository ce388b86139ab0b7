// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/this_coro.hpp>

#include "roost/redis/connection/sentinel.hpp"
#include "roost/redis/replica/features.hpp"
#include "roost/redis/subscribing/subscriber.hpp"

namespace roost::detail {

/// The parts of a `RedisBackplane`, and its calls. The awaitables own it, and may be awaited when
/// the backplane or its `io_context` is gone.
class RedisReplica final : private ContextGuard {
 public:
  using Ptr = std::shared_ptr<RedisReplica>;

  RedisReplica(boost::asio::any_io_executor executor, RedisOptions options)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        shared(std::make_shared<RedisShared>(executor, validated(std::move(options)))),
        inbound(std::make_shared<HandlerQueues>(
            executor,
            QueueLimits{shared->options().max_queued_messages, shared->options().max_queued_bytes},
            shared->options().logger)),
        publisher(std::make_shared<RedisPublisher>(shared)),
        subscriber(std::make_shared<RedisSubscriber>(shared, publisher, inbound)) {
    const std::weak_ptr<RedisSubscriber> heard = subscriber;
    const std::weak_ptr<RedisPublisher> publishing = publisher;
    if (const auto* const factory = scripting_factory()) make_scripting(*factory);
    const std::weak_ptr<RedisScripting> running = scripting;
    publisher->on_unusable([heard, running](const std::string& why) {
      if (const auto its_subscriber = heard.lock()) its_subscriber->reconnect(why);
      if (const auto its_scripts = running.lock()) its_scripts->check();
    });
    if (shared->options().history) make_historian();
    if (shared->options().registry) make_registrar();
    if (shared->options().presence) make_presence();
    if (!shared->target()->sentinels) return;
    sentinels = std::make_shared<SentinelWatch>(
        shared, [heard, publishing, running](const std::string& why) {
          if (const auto its_subscriber = heard.lock()) its_subscriber->reconnect(why);
          if (const auto its_publisher = publishing.lock()) its_publisher->reconnect(why);
          if (const auto its_scripts = running.lock()) its_scripts->reconnect(why);
        });
  }

  void close() noexcept {
    leave_context();
    inbound->close();
    shared->drop_executor();
    subscriber->end();
    publisher->end();
    if (scripting) scripting->end();
    if (sentinels) sentinels->end();
    if (presence) presence->close_presence();
  }

  const RedisSharedPtr shared;
  const std::shared_ptr<HandlerQueues> inbound;
  const std::shared_ptr<RedisPublisher> publisher;
  const std::shared_ptr<RedisSubscriber> subscriber;
  std::shared_ptr<SentinelWatch> sentinels;   ///< Null where the URL names the host.
  std::shared_ptr<RedisScripting> scripting;  ///< Null if nothing needs scripts.
  std::shared_ptr<RedisHistorian> historian;  ///< Null if no room has a history.
  std::shared_ptr<RedisRegistrar> registrar;  ///< Null without a registry, as is `desk`.
  std::shared_ptr<ControlDesk> desk;
  std::shared_ptr<RedisPresencePart> presence;  ///< Null if no room has presence.

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
    if (message.is_recorded) {
      const std::shared_ptr<RedisHistorian> historian = self->historian;
      ++self->shared->stats.published;
      const auto recorded = historian->record(std::move(message));
      co_await historian->until_known(recorded);
      co_return *recorded->known;
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
  // A strand must be destroyed before its context.
  void on_context_destroyed() noexcept override {
    inbound->close();
    shared->drop_executor();
    subscriber->release();
    publisher->release();
    if (scripting) scripting->release();
    if (presence) presence->close_presence();
    if (sentinels) sentinels->release();
  }

  [[nodiscard]] const RedisScriptingFactory* scripting_factory() const noexcept {
    const RedisOptions& options = shared->options();
    if (options.history) return options.history.get();
    return options.registry.get();
  }
  void make_scripting(const RedisScriptingFactory& factory) {
    const std::weak_ptr<RedisSubscriber> heard = subscriber;
    const std::weak_ptr<RedisPublisher> publishing = publisher;
    scripting = factory.make_scripting(shared, [heard, publishing](const std::string& why) {
      if (const auto its_subscriber = heard.lock()) its_subscriber->reconnect(why);
      if (const auto its_publisher = publishing.lock()) its_publisher->ask_role();
    });
  }
  void make_historian() {
    const std::weak_ptr<RedisSubscriber> heard = subscriber;
    historian = shared->options().history->make(
        shared, scripting, inbound, [heard](const std::string& channel) {
          const auto its_subscriber = heard.lock();
          return its_subscriber && its_subscriber->is_listening(channel);
        });
    subscriber->tell(historian);
  }

  void make_registrar() {
    const RedisOptions& options = shared->options();
    std::string rules = options.registry->rules();
    rules += options.routing == Routing::per_room ? " per_room" : " shared_channel";
    if (options.history) rules += ' ' + options.history->rules();
    if (options.presence) rules += ' ' + options.presence->rules();
    registrar = options.registry->make(shared, scripting, digest_of(rules));
    desk = registrar->make_desk();
    subscriber->tell(registrar);
  }
  void make_presence() {
    const std::weak_ptr<RedisSubscriber> heard = subscriber;
    const auto with = [heard](auto f) {
      if (const auto its_subscriber = heard.lock()) f(*its_subscriber);
    };
    RedisChannels channels{.subscribe =
                               [with](const std::string& channel) {
                                 with([&](RedisSubscriber& to) { to.subscribe(channel); });
                               },
                           .unsubscribe =
                               [with](const std::string& channel) {
                                 with([&](RedisSubscriber& to) { to.unsubscribe(channel); });
                               },
                           .is_listening =
                               [heard](const std::string& channel) {
                                 const auto its_subscriber = heard.lock();
                                 return its_subscriber && its_subscriber->is_listening(channel);
                               }};
    presence = shared->options().presence->make(shared, scripting, registrar, std::move(channels));
    subscriber->tell(presence);
  }
  /// FNV-1a, which is the same in every process.
  [[nodiscard]] static std::string digest_of(std::string_view text) {
    std::uint64_t hash = 14'695'981'039'346'656'037U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[hash >> shift & 15U];
    return digits;
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
      if (self->scripting) self->scripting->begin_anew();
      if (self->sentinels) self->sentinels->begin();
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
      if (self->scripting && self->scripting->is_unused()) self->scripting->end();
      if (self->sentinels) self->sentinels->end();
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
    const std::shared_ptr<RedisScripting> scripting = self->scripting;
    const auto is_trying = [&] {
      return scripting->has_begun() && !scripting->is_up() && scripting->why_down().empty();
    };
    bool is_open = scripting && is_trying();
    while (is_open) {
      co_await wait(scripting->changed, executor, self->shared->clock());
      is_open = is_trying();
    }
    if (self->shared->is_gone()) throw_gone();
    if (!scripting || scripting->is_up()) co_return;
    const std::string& why = scripting->why_down();
    throw Error(errc::backplane_unavailable, why.empty() ? "it was stopped" : why);
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
  static std::array<std::shared_ptr<Child<void>>, 4> stop_now(RedisReplica& self) {
    auto subscriber = self.subscriber->end();
    self.inbound->discard();
    auto scripts = self.scripting ? self.scripting->stop() : nullptr;
    auto watch = self.sentinels ? self.sentinels->end() : nullptr;
    return {std::move(subscriber), self.publisher->stop(), std::move(scripts), std::move(watch)};
  }
  static std::string channel_of(const RedisOptions& options, const OutgoingMessage& message) {
    const bool is_for_room = options.routing == Routing::per_room && message.room;
    return is_for_room ? room_channel(options, *message.room) : options.channel;
  }
  static Delivered deliver_here(RedisReplica& self, const OutgoingMessage& message) {
    ++self.shared->stats.published;
    if (self.subscriber->state() == RedisState::stopped) return {};
    if (!self.inbound->is_wanted(message.origin)) return {};
    // Handlers get what a reader in another process would parse, not a copy of the value.
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
