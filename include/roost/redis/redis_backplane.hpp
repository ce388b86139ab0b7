// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <nlohmann/json.hpp>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/redis/options.hpp"
#include "roost/redis/stats.hpp"

namespace roost {

namespace detail {
class RedisReplica;
}

/// A `Backplane` between processes: over a channel of Redis, in the format of hawkapi-websockets,
/// whose replicas may share the channel.
/// @code
/// roost::RedisBackplane backplane(context.get_executor(), {.url = "redis://localhost:6379/0"});
/// auto cluster = roost::bind_manager(backplane, manager);
/// co_await backplane.start();
/// @endcode
///
/// - **Local delivery first**: a started backplane delivers a message to its own handlers without
///   waiting for Redis, and ignores the copy that comes back. While Redis cannot be reached,
///   messages to other replicas wait, bounded by bytes and by age. While it can be reached, all
///   messages published in one turn of the event loop are accepted. A message that was sent to
///   Redis is never sent again.
/// - **Reconnects**: a lost connection is made again, and a silent one is probed; see `state`,
///   `ready` and `on_state`.
/// - **Detects losses**: messages are numbered. Lost messages of other `RedisBackplane`s are
///   counted, logged and reported to `on_loss`.
///
/// @par Thread safety  The awaitables may be awaited from any executor; `on` and `state` may be
///                     called from any thread. Everything else, the destructor included, on the
///                     backplane's executor, or while nothing runs it.
/// @par Lifetime       May be destroyed before or after its `io_context`, started or not. No
///                     handler is called after that; a handler that is a coroutine and has begun
///                     goes on. Once a message was published, the backplane keeps a connection
///                     until `stop`.
class RedisBackplane {
 public:
  /// The type of the options.
  using Options = RedisOptions;
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes a backplane that is not connected.
  /// @param executor  where handlers are called: an `io_context` that one thread runs, or a strand
  /// @param options   checked here, then fixed
  /// @par Errors      `errc::invalid_url`; `invalid_option`, naming the field.
  explicit RedisBackplane(boost::asio::any_io_executor executor, Options options = {});
  RedisBackplane(const RedisBackplane&) = delete;
  RedisBackplane& operator=(const RedisBackplane&) = delete;
  ~RedisBackplane();

  /// The executor of the handlers; an empty one once its `io_context` is gone.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const;
  /// The options that were given to the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  /// Connects and subscribes, and reconnects until `stop`. If this has begun already, waits for it.
  /// @par Errors        `errc::backplane_unavailable`, saying which Redis was tried and why it
  ///                    cannot be used; then the backplane has not started. With
  ///                    `require_connection` off this is not an error, and the backplane keeps
  ///                    trying.
  /// @par Suspends      until Redis has acknowledged the subscription; not with
  ///                    `require_connection` off.
  /// @par Cancellation  undoes the start.
  awaitable<void> start();
  /// Starts as `start` does with `require_connection` off: it returns immediately, and the
  /// backplane keeps trying to connect.
  awaitable<void> start_anyway();

  /// Unsubscribes and disconnects. Handlers get nothing more, not even the messages that wait for
  /// them; a handler that is a coroutine and has begun goes on. Published messages that are on
  /// their way to Redis may still arrive; messages that wait for Redis to come back are dropped.
  /// `start` may be called again.
  /// @par Suspends  until the backplane's coroutines have ended: immediately, unless messages are
  ///                on their way to a Redis that does not answer, which gets one second.
  awaitable<void> stop();

  /// Delivers @p message to every handler of the started backplanes on the channel, whether or not
  /// this backplane has started.
  /// @returns how many subscribers of the channel Redis gave the message to, in
  ///          `Published::receivers`. `Published::error` is `errc::backplane_unavailable` if Redis
  ///          refused the message, or while Redis cannot be reached: then the message waits, and is
  ///          sent if Redis comes back in time. It is `outcome_unknown` if the connection was lost
  ///          after the message was sent, and `backplane_full` if too much waits for Redis or for a
  ///          handler here (see `Published::missed`).
  /// @par Errors        at the call `errc::invalid_json` (not an object, not serialisable, nested
  ///                    over 64 levels, or with a field `v`, `node`, `epoch` or `seq`, which are
  ///                    the backplane's own) and `message_too_big`.
  /// @par Suspends      until Redis has answered; not while Redis is known to be down.
  /// @par Cancellation  stops waiting; the message is published nevertheless.
  awaitable<Published> publish(const nlohmann::json& message);

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns a handle that can remove the handler; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler);

  /// @private For `Cluster`.
  awaitable<Published> publish_wire(detail::OutgoingMessage message);
  /// @private
  Subscription on_parcel(detail::ParcelHandler handler, const void* member = nullptr);
  /// @private Null unless `routing` is `per_room`.
  [[nodiscard]] std::shared_ptr<detail::RoomRouting> room_routing() const;

  /// @private Null if no room has a history.
  [[nodiscard]] std::shared_ptr<detail::BackplaneHistory> history() const;

  /// @private Null without a registry.
  [[nodiscard]] std::shared_ptr<detail::ControlDesk> control() const;
  /// @private Null if no room has presence.
  [[nodiscard]] std::shared_ptr<detail::BackplanePresence> presence() const;

  /// The state of the subscription, for example for a readiness check.
  [[nodiscard]] RedisState state() const noexcept;
  /// Waits until the backplane is subscribed.
  /// @par Errors    `errc::backplane_unavailable` if the backplane is not started, or is stopped
  ///                meanwhile.
  /// @par Suspends  until the state is `RedisState::subscribed`.
  awaitable<void> ready();
  /// Calls @p hook with each new state, on the executor, for the life of the backplane.
  void on_state(std::function<void(RedisState)> hook);
  /// Calls @p hook when messages of another backplane were lost on their way here, came twice, or
  /// may have been lost. On the executor, for the life of the backplane.
  void on_loss(std::function<void(const RedisLoss&)> hook);

  /// The counters, since the backplane was made.
  [[nodiscard]] RedisStats stats() const;

 private:
  const std::shared_ptr<detail::RedisReplica> replica_;
};

static_assert(Backplane<RedisBackplane>);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/redis_backplane.ipp"
#endif
