// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Joins the managers of one process, each on a thread of its own. `roost/roost.hpp` does not
/// include this; `bind_manager` is in `roost/backplane/cluster.hpp`.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/local_stats.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"

namespace roost {

namespace detail {
class LocalHubState;
class LocalPresenceFactory;
}  // namespace detail

/// Connects the `LocalBackplane`s of one process. Copies are the same hub.
///
/// @par Thread safety  From any thread.
/// @par Lifetime       Backplanes share what they need of their hub.
class LocalHub {
 public:
  /// Makes a new hub, in which no room has a history.
  LocalHub();
  /// Makes a new hub that records the messages to some rooms, so that clients which come back get
  /// what they missed. The history ends with the process.
  /// @param clock  tells the age of messages; must outlive the hub and its backplanes
  /// @par Errors   `errc::invalid_option`, naming the field.
  explicit LocalHub(HistoryOptions history, Clock& clock = Clock::system());

  /// Counts what the hub keeps of the rooms that have a history. All zero if the hub records
  /// nothing.
  [[nodiscard]] LocalHubStats stats() const;
  /// @private
  [[nodiscard]] const std::shared_ptr<detail::LocalHubState>& state() const noexcept {
    return state_;
  }

 private:
  std::shared_ptr<detail::LocalHubState> state_;
};

/// The options of a `LocalBackplane`, fixed for its life.
struct LocalBackplaneOptions {
  /// The channel of this backplane: it exchanges messages with the backplanes of the hub that have
  /// the same channel. Not empty.
  std::string channel = "roost";
  /// Limit on one published message, in bytes of JSON. At least 1; for `bind_manager` at least six
  /// times the `max_message_bytes` of the manager plus 4096, since a byte of text may take six
  /// bytes as JSON.
  std::size_t max_message_bytes = 8'388'608;
  /// How many messages may wait for a handler that does not keep up. Further messages are dropped
  /// and counted in `Published::missed`. Four times as many may wait for a handler that has had no
  /// turn of the event loop yet, or that takes messages, and more if they all arrive in one turn of
  /// the handler's own event loop. At least 1.
  std::size_t max_queued_messages = 100'000;
  /// How many bytes of JSON may wait for a handler that does not keep up; otherwise like
  /// `max_queued_messages`. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 67'108'864;
  /// Which rooms have presence, made with `local_presence` of `roost/backplane/local_presence.hpp`.
  /// All backplanes of a hub need the same rules. Not set: no room has presence.
  std::shared_ptr<const detail::LocalPresenceFactory> presence = {};
  /// What the replica is called in `Cluster::replicas`: any UTF-8, at most 255 bytes.
  std::string label = {};
  /// Takes log events, on the backplane's executor. Empty: nothing is logged.
  Logger logger = {};
  /// The clock for the timeouts of `Cluster::ask` and the like, and of presence. Not null; must
  /// outlive the backplane's coroutines.
  Clock* clock = &Clock::system();
};

/// A `Backplane` inside one process. It connects the managers of several threads, each with an
/// `io_context` of its own. In tests it can stand in for `RedisBackplane`.
/// @code
/// roost::LocalHub hub;                                           // one for the process
/// roost::LocalBackplane backplane(context.get_executor(), hub);  // one for each thread
/// auto cluster = roost::bind_manager(backplane, manager);
/// co_await backplane.start();
/// @endcode
///
/// @par Thread safety  From any thread, awaited from any executor; the destructor on the
///                     backplane's executor, or while nothing runs it.
/// @par Lifetime       May be destroyed before or after its `io_context`, started or not. No
///                     handler is called after that; a handler that is a coroutine and has begun
///                     goes on.
class LocalBackplane {
 public:
  /// The type of the options.
  using Options = LocalBackplaneOptions;
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes a backplane that has not started.
  /// @param executor  where handlers are called: an `io_context` that one thread runs, or a strand
  /// @param hub       connects this backplane to others; without one the backplane has only itself
  /// @param options   checked here, then fixed
  /// @par Errors      `errc::invalid_option`, naming the field.
  explicit LocalBackplane(boost::asio::any_io_executor executor, LocalHub hub = {},
                          Options options = {});
  LocalBackplane(const LocalBackplane&) = delete;
  LocalBackplane& operator=(const LocalBackplane&) = delete;
  ~LocalBackplane();

  /// The executor of the handlers; an empty one once its `io_context` is gone.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept;
  /// The options that were given to the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  /// Makes the handlers get the messages published from now on. Does nothing if the backplane has
  /// started already.
  /// @par Errors    `errc::backplane_unavailable` if the backplane or its `io_context` is gone.
  /// @par Suspends  never.
  awaitable<void> start();

  /// Makes the handlers get nothing more, not even the messages that wait for them. A call that has
  /// begun, as a coroutine or on another thread, goes on. `start` may be called again.
  /// @par Suspends  never.
  awaitable<void> stop();

  /// Delivers @p message to every handler of the started backplanes on the channel, whether or not
  /// this backplane has started.
  /// @returns how many backplanes took the message, in `Published::receivers`.
  /// @par Errors    at the call `errc::invalid_json` (not an object, not serialisable, nested over
  ///                64 levels) and `message_too_big`.
  /// @par Suspends  never.
  awaitable<Published> publish(const nlohmann::json& message);

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns a handle that can remove the handler; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler);

  /// @private For `Cluster`.
  awaitable<Published> publish_wire(detail::OutgoingMessage message);
  /// @private
  Subscription on_parcel(detail::ParcelHandler handler, const void* member = nullptr);
  /// @private Null if the hub has no history.
  [[nodiscard]] std::shared_ptr<detail::BackplaneHistory> history() const;
  /// @private
  [[nodiscard]] std::shared_ptr<detail::ControlDesk> control() const;

  /// @private Null if no room has presence.
  [[nodiscard]] std::shared_ptr<detail::BackplanePresence> presence() const;

  /// The counters, since the backplane was made.
  [[nodiscard]] LocalBackplaneStats stats() const;

 private:
  struct State;
  using StatePtr = std::shared_ptr<State>;

  // These do not switch to the backplane's executor: its `io_context` may be gone when they are
  // awaited.
  static awaitable<void> run_start(StatePtr state);
  static awaitable<void> run_stop(StatePtr state);
  awaitable<Published> publish_text(detail::OutgoingMessage message);
  static awaitable<Published> run_publish(StatePtr state, std::shared_ptr<detail::Parcel> parcel,
                                          std::optional<std::string> recorded_in,
                                          const void* origin);

  const StatePtr state_;
};

static_assert(Backplane<LocalBackplane>);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/local_backplane.ipp"
#endif
