// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/redis/options.hpp"
#include "roost/redis/stats.hpp"

namespace roost {

namespace detail {
class RedisReplica;
}

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
///   messages to the others wait, bounded by bytes and by age. A message that was written to Redis
///   is never written again. Nothing that is published in one turn of the event loop is too much.
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
  /// Its options.
  using Options = RedisOptions;
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @param executor  where handlers are called: an `io_context` that one thread runs, or a strand
  /// @par Errors      `errc::invalid_url`; `invalid_option`, naming the field.
  explicit RedisBackplane(boost::asio::any_io_executor executor, Options options = {});
  RedisBackplane(const RedisBackplane&) = delete;
  RedisBackplane& operator=(const RedisBackplane&) = delete;
  ~RedisBackplane();

  /// None once its `io_context` is gone.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const;
  /// Those of the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  /// Connects and subscribes, and keeps that up until `stop`. Where it is under way already, waits
  /// for it.
  /// @par Errors        `errc::backplane_unavailable`, saying where Redis was looked for and why
  ///                    it cannot be used. Then nothing has started; unless
  ///                    `require_connection` is off, which makes it go on and this no error.
  /// @par Suspends      until Redis has acknowledged the subscription; not with
  ///                    `require_connection` off.
  /// @par Cancellation  undoes it.
  awaitable<void> start();
  /// The same as if `require_connection` were off.
  awaitable<void> start_anyway();

  /// The handlers get nothing any more, not even what waits for them; what is under way, a
  /// coroutine, is left to itself. What was published and is on its way to Redis may still arrive;
  /// what waits for Redis to come back is dropped. `start` begins anew.
  /// @par Suspends  until nothing of it runs any more: at once, but for what is on its way to a
  ///                Redis that does not answer, which gets a second.
  awaitable<void> stop();

  /// Brings @p message to every handler of the started backplanes on the channel, whether this one
  /// has started or not.
  /// @returns how many subscribers of the channel Redis gave it to. `error` is
  ///          `errc::backplane_unavailable` while Redis cannot be reached: then the message waits,
  ///          and is sent if Redis comes back in time; or if Redis refused it. It is
  ///          `outcome_unknown` if the connection was lost after it was sent, `backplane_full` if
  ///          too much waits for Redis already, or for a handler here (see `Published::missed`).
  /// @par Errors        at the call `errc::invalid_json` (no object, not serialisable, nested over
  ///                    64 levels, or with a field `v`, `node`, `epoch` or `seq`, which are the
  ///                    backplane's own) and `message_too_big`.
  /// @par Suspends      until Redis has answered; not while it is known to be down.
  /// @par Cancellation  stops waiting; the message is published nevertheless.
  awaitable<Published> publish(const nlohmann::json& message);

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns what removes it; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler);

  /// @private For `Cluster`.
  awaitable<Published> publish_wire(detail::OutgoingMessage message);
  /// @private
  Subscription on_parcel(detail::ParcelHandler handler, const void* member = nullptr);
  /// @private Null unless there is a channel per room.
  [[nodiscard]] std::shared_ptr<detail::RoomRouting> room_routing() const;

  /// How it hears the others; good for a readiness check.
  [[nodiscard]] RedisState state() const noexcept;
  /// Waits until it is subscribed.
  /// @par Errors  `errc::backplane_unavailable` if it is not started, or stopped meanwhile.
  awaitable<void> ready();
  /// @p hook is called with each new state, on the executor. For the life of the backplane.
  void on_state(std::function<void(RedisState)> hook);
  /// @p hook is called when messages of another backplane were lost on their way here, came twice,
  /// or when it is not known whether some were lost. For the life of the backplane.
  void on_loss(std::function<void(const RedisLoss&)> hook);

  /// What was counted so far.
  [[nodiscard]] RedisStats stats() const;

 private:
  const std::shared_ptr<detail::RedisReplica> replica_;
};

static_assert(Backplane<RedisBackplane>);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/redis_backplane.ipp"
#endif
