// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "roost/backplane.hpp"
#include "roost/detail/child.hpp"
#include "roost/detail/context_guard.hpp"
#include "roost/detail/inbound.hpp"
#include "roost/detail/on_executor.hpp"
#include "roost/detail/room_routing.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wire_message.hpp"
#include "roost/error.hpp"
#include "roost/redis/detail/publisher.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/detail/stamp.hpp"
#include "roost/redis/detail/subscriber.hpp"
#include "roost/redis/detail/validate.hpp"
#include "roost/redis/options.hpp"

namespace roost {

/// The `Backplane` between processes: over a channel of Redis, in the format of
/// hawkapi-websockets, whose replicas may share it.
/// @code
/// roost::RedisBackplane backplane(context.get_executor(), {.url = "redis://localhost:6379/0"});
/// auto cluster = roost::bind_manager(backplane, manager);
/// co_await backplane.start();
/// @endcode
///
/// - **Its own handlers come first**: a started backplane gives them what it publishes at once, and
///   not again when it comes back from Redis; also while Redis cannot be reached. Meanwhile
///   messages to the others wait, bounded by bytes and by age. What was written to Redis is never
///   written again.
/// - **Never deaf**: a connection that is lost is made again, and one that is silent is probed; see
///   `state`, `ready` and `on_state`.
/// - **Never silent**: messages are numbered, so that those of other `RedisBackplane`s that get
///   lost on the way are counted, logged and reported to `on_loss`.
///
/// @par Thread safety  The awaitables may be awaited from any executor, `on` and `state` be called
///                     from any thread. The rest, the destructor included, on the backplane's
///                     executor, or while nothing runs it.
/// @par Lifetime       May be destroyed before or after its `io_context`, started or not: no
///                     handler is called from then on, one that is a coroutine under way is left to
///                     itself. Once something was published, it holds a connection until `stop`.
class RedisBackplane {
 public:
  using Options = RedisOptions;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @param executor  where handlers are called: an `io_context` that one thread runs, or a strand
  /// @par Errors  `errc::invalid_url`; `invalid_option`, naming the field.
  explicit RedisBackplane(boost::asio::any_io_executor executor, Options options = {})
      : state_(std::make_shared<State>(std::move(executor), std::move(options))) {}
  RedisBackplane(const RedisBackplane&) = delete;
  RedisBackplane& operator=(const RedisBackplane&) = delete;
  ~RedisBackplane() { state_->close(); }

  /// None once its `io_context` is gone.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const {
    return state_->shared->executor();
  }
  [[nodiscard]] const Options& options() const noexcept { return state_->shared->options(); }

  /// Connects and subscribes, and keeps that up until `stop`. Where it is under way already, waits
  /// for it.
  /// @par Errors        `errc::backplane_unavailable`, saying where Redis was looked for and why
  ///                    it cannot be used. Then nothing has started; unless
  ///                    `require_connection` is off, which makes it go on and this no error.
  /// @par Suspends      until Redis has acknowledged the subscription; not with
  ///                    `require_connection` off.
  /// @par Cancellation  undoes it.
  awaitable<void> start() { return run_start(state_, options().require_connection); }
  /// The same as if `require_connection` were off.
  awaitable<void> start_anyway() { return run_start(state_, false); }

  /// The handlers get nothing any more, not even what waits for them; what is under way, a
  /// coroutine, is left to itself. What was published and is on its way to Redis may still arrive;
  /// what waits for Redis to come back is dropped. `start` begins anew.
  /// @par Suspends  until nothing of it runs any more: at once, but for what is on its way to a
  ///                Redis that does not answer, which gets a second.
  awaitable<void> stop() { return run_stop(state_); }

  /// Brings @p message to every handler of the started backplanes on the channel, whether this one
  /// has started or not.
  /// @returns how many subscribers of the channel Redis gave it to. `error` is
  ///          `errc::backplane_unavailable` while Redis cannot be reached: then the message waits,
  ///          and is sent if Redis comes back in time; or if Redis refused it. It is
  ///          `outcome_unknown` if the connection was lost after it was sent.
  /// @par Errors        at the call `errc::invalid_json` (no object, not serialisable, nested over
  ///                    64 levels, or with a field `v`, `node`, `epoch` or `seq`, which are the
  ///                    backplane's own) and `message_too_big`.
  /// @par Suspends      until Redis has answered; not while it is known to be down.
  /// @par Cancellation  stops waiting; the message is published nevertheless.
  awaitable<Published> publish(const nlohmann::json& message) {
    std::string text = detail::serialize_message(message, options().max_message_bytes);
    if (const char* field = detail::reserved_field(message)) {
      throw Error(errc::invalid_json, "the field \"" + std::string(field) + "\" is reserved");
    }
    return run_publish(state_, channel_of(options(), message), std::move(text));
  }

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns what removes it; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler) { return state_->inbound->on(std::move(handler)); }

  /// For `bind_manager`: null unless there is a channel per room.
  [[nodiscard]] std::shared_ptr<detail::RoomRouting> room_routing() const {
    if (options().routing == Routing::shared_channel) return nullptr;
    return std::make_shared<Rooms>(state_);
  }

  /// How it hears the others; good for a readiness check.
  [[nodiscard]] RedisState state() const noexcept { return state_->subscriber->state(); }
  /// Waits until it is subscribed.
  /// @par Errors  `errc::backplane_unavailable` if it is not started, or stopped meanwhile.
  awaitable<void> ready() { return run_ready(state_); }
  /// @p hook is called with each new state, on the executor. For the life of the backplane.
  void on_state(std::function<void(RedisState)> hook) {
    state_->subscriber->on_state(std::move(hook));
  }
  /// @p hook is called when messages of another backplane were lost on their way here, or came
  /// twice. For the life of the backplane.
  void on_loss(std::function<void(const RedisLoss&)> hook) {
    state_->subscriber->on_loss(std::move(hook));
  }

  [[nodiscard]] RedisStats stats() const {
    RedisStats stats = state_->shared->stats;
    state_->publisher->fill(stats);
    const detail::Inbound::Counts counts = state_->inbound->counts();
    stats.received = counts.received;
    stats.dropped = counts.dropped;
    stats.failed = counts.failed;
    return stats;
  }

 private:
  struct State final : private detail::ContextGuard {
    State(boost::asio::any_io_executor executor, Options options)
        : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
          shared(std::make_shared<detail::RedisShared>(executor,
                                                       detail::validated(std::move(options)))),
          inbound(std::make_shared<detail::Inbound>(
              executor,
              detail::InboundLimits{shared->options().max_queued_messages,
                                    shared->options().max_queued_bytes},
              shared->options().logger)),
          publisher(std::make_shared<detail::RedisPublisher>(shared)),
          subscriber(std::make_shared<detail::RedisSubscriber>(shared, publisher, inbound)) {}

    void close() noexcept {
      leave_context();
      inbound->close();
      shared->drop_executor();
      subscriber->reset();
      publisher->reset();
    }
    // A strand must go before its context.
    void on_context_destroyed() noexcept override {
      inbound->close();
      shared->drop_executor();
      subscriber->release();
      publisher->release();
    }

    const detail::RedisSharedPtr shared;
    const std::shared_ptr<detail::Inbound> inbound;
    const std::shared_ptr<detail::RedisPublisher> publisher;
    const std::shared_ptr<detail::RedisSubscriber> subscriber;
  };
  using StatePtr = std::shared_ptr<State>;

  [[noreturn]] static void throw_gone() {
    throw Error(errc::backplane_unavailable, "the RedisBackplane or its io_context is gone");
  }

  static awaitable<void> run_start(StatePtr state, bool is_required) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    if (!executor) throw_gone();
    co_await detail::on_executor(executor, start_here(std::move(state), is_required));
  }
  static awaitable<void> start_here(StatePtr state, bool is_required) {
    if (state->shared->is_gone()) throw_gone();
    const bool is_first = state->subscriber->state() == RedisState::stopped;
    if (is_first) {
      state->subscriber->begin();
      state->publisher->begin();
    }
    if (!is_required) co_return;
    const std::uint64_t generation = state->subscriber->generation();
    std::exception_ptr error;
    try {
      co_await wait_first_outcome(state);
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) co_return;
    if (is_first && state->subscriber->generation() == generation) {
      state->subscriber->reset();
      if (state->publisher->is_unused()) state->publisher->reset();
    }
    std::rethrow_exception(error);
  }
  static awaitable<void> wait_first_outcome(StatePtr state) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    while (state->subscriber->state() == RedisState::connecting) {
      co_await detail::wait(state->subscriber->changed, executor, state->shared->clock());
    }
    if (state->shared->is_gone()) throw_gone();
    if (state->subscriber->state() == RedisState::down) {
      throw Error(errc::backplane_unavailable, state->subscriber->why());
    }
    if (!state->subscriber->hears()) throw Error(errc::backplane_unavailable, "it was stopped");
  }

  static awaitable<void> run_stop(StatePtr state) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    if (executor) co_await detail::on_executor(executor, stop_here(std::move(state)));
  }
  static awaitable<void> stop_here(StatePtr state) {
    const auto executor = state->shared->executor();
    if (!executor) co_return;
    Clock& clock = state->shared->clock();
    const Clock::time_point deadline = clock.now() + detail::RedisPublisher::stop_grace;
    for (const auto& ending : stop_now(*state)) {
      bool is_in_time = true;
      while (is_in_time && ending && !ending->is_done()) {
        is_in_time = co_await detail::wait(ending->ended, executor, clock, deadline);
      }
    }
  }
  static std::array<std::shared_ptr<detail::Child<void>>, 2> stop_now(State& state) {
    auto subscriber = state.subscriber->reset();
    state.inbound->discard();
    return {std::move(subscriber), state.publisher->stop()};
  }

  static std::string room_channel(const Options& options, std::string_view room) {
    return options.channel + ":room:" + std::string(room);
  }
  static std::string channel_of(const Options& options, const nlohmann::json& message) {
    if (options.routing == Routing::shared_channel) return options.channel;
    const nlohmann::json* const room = detail::find_field(message, "room");
    const bool is_union = detail::find_field(message, "rooms") != nullptr;
    if (!room || !room->is_string() || is_union) return options.channel;
    return room_channel(options, room->get_ref<const std::string&>());
  }

  // What bound managers tell of their rooms, from any thread.
  class Rooms final : public detail::RoomRouting {
   public:
    explicit Rooms(StatePtr state) : shared_(state->shared), subscriber_(state->subscriber) {}

    void enter(std::string_view room) override { post(&detail::RedisSubscriber::enter, room); }
    void leave(std::string_view room) noexcept override {
      try {
        post(&detail::RedisSubscriber::leave, room);
      } catch (...) {  // the room stays subscribed, which does no harm
      }
    }
    awaitable<void> settled() override {
      const boost::asio::any_io_executor executor = shared_->executor();
      if (!executor) return nothing();
      return detail::on_executor(executor, detail::RedisSubscriber::settled(subscriber_, executor));
    }

   private:
    using Member = void (detail::RedisSubscriber::*)(const std::string&);

    void post(Member member, std::string_view room) {
      const boost::asio::any_io_executor executor = shared_->executor();
      if (!executor) return;
      boost::asio::post(executor, [subscriber = subscriber_, member,
                                   channel = room_channel(shared_->options(), room)] {
        ((*subscriber).*member)(channel);
      });
    }
    static awaitable<void> nothing() { co_return; }

    const detail::RedisSharedPtr shared_;
    const std::shared_ptr<detail::RedisSubscriber> subscriber_;
  };

  static awaitable<Published> run_publish(StatePtr state, std::string channel, std::string text) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    if (!executor) co_return Published{.error = make_error_code(errc::backplane_unavailable)};
    const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
    if (here != executor) {
      auto publishing = run_publish(std::move(state), std::move(channel), std::move(text));
      co_return co_await detail::on_executor(executor, std::move(publishing));
    }
    const auto outcome = publish_now(*state, std::move(channel), std::move(text));
    while (!outcome->known) {
      co_await detail::wait(outcome->changed, executor, state->shared->clock());
    }
    co_return *outcome->known;
  }
  static std::shared_ptr<detail::Outcome> publish_now(State& state, std::string channel,
                                                      std::string text) {
    ++state.shared->stats.published;
    if (state.subscriber->state() != RedisState::stopped) {
      // What a reader in another process sees, rather than a copy.
      detail::Parcel parcel{.message = detail::decode_json(text), .bytes = text.size()};
      state.inbound->deliver(std::make_shared<const detail::Parcel>(std::move(parcel)));
    }
    return state.publisher->push(std::move(channel), std::move(text));
  }

  static awaitable<void> run_ready(StatePtr state) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    if (!executor) throw_gone();
    co_await detail::on_executor(executor, wait_ready(std::move(state)));
  }
  static awaitable<void> wait_ready(StatePtr state) {
    const boost::asio::any_io_executor executor = state->shared->executor();
    while (state->subscriber->state() != RedisState::subscribed) {
      if (state->shared->is_gone()) throw_gone();
      if (state->subscriber->state() == RedisState::stopped) {
        throw Error(errc::backplane_unavailable, "it is not started");
      }
      co_await detail::wait(state->subscriber->changed, executor, state->shared->clock());
    }
  }

  const StatePtr state_;
};

static_assert(Backplane<RedisBackplane>);

}  // namespace roost
