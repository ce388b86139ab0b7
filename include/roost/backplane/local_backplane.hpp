// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost {

namespace detail {
class LocalHubState;
}

/// What the `LocalBackplane`s of one process meet at. Copies share it.
///
/// @par Thread safety  From any thread.
/// @par Lifetime       Backplanes keep what they need of it.
class LocalHub {
 public:
  /// A new one, which nobody shares yet.
  LocalHub();

 private:
  friend class LocalBackplane;
  std::shared_ptr<detail::LocalHubState> state_;
};

/// The options of a `LocalBackplane`, fixed for its life.
struct LocalBackplaneOptions {
  /// Which of the hub's messages are for this backplane. Not empty.
  std::string channel = "roost";
  /// Per message published, in bytes of JSON. At least 1; for `bind_manager` at least six times the
  /// `max_message_bytes` of the manager and 4096, since a byte of text may take six as JSON.
  std::size_t max_message_bytes = 8'388'608;
  /// How many messages may wait for a handler that does not keep up; what comes then is dropped,
  /// and `Published::missed` tells. For one that has had no turn of the event loop yet, or works,
  /// four times as many may wait, and more if they come in one turn of its own loop. At least 1.
  std::size_t max_queued_messages = 100'000;
  /// How many bytes of JSON may wait for a handler that does not keep up, as with
  /// `max_queued_messages`. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 67'108'864;
  /// Takes log events, on the backplane's executor. Empty: nothing is logged.
  Logger logger = {};
};

/// What a `LocalBackplane` counts, since it was made.
struct LocalBackplaneStats {
  std::uint64_t published = 0;  ///< Messages it has published.
  std::uint64_t received = 0;   ///< Messages it has got.
  std::uint64_t dropped = 0;    ///< Messages that a handler missed because too many waited for it.
  std::uint64_t failed = 0;     ///< Calls of a handler that threw.
};

/// The `Backplane` inside one process. It joins the managers of several threads, each with an
/// `io_context` of its own, and is the twin of the one for several processes where there is none.
/// @code
/// roost::LocalHub hub;                                           // one for the process
/// roost::LocalBackplane backplane(context.get_executor(), hub);  // one for each thread
/// auto cluster = roost::bind_manager(backplane, manager);
/// co_await backplane.start();
/// @endcode
///
/// @par Thread safety  From any thread, awaited from any executor; the destructor on the
///                     backplane's executor, or while nothing runs it.
/// @par Lifetime       May be destroyed before or after its `io_context`, started or not: no
///                     handler is called from then on, one that is a coroutine under way is left to
///                     itself.
class LocalBackplane {
 public:
  /// Its options.
  using Options = LocalBackplaneOptions;
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @param executor  where handlers are called: an `io_context` that one thread runs, or a strand
  /// @param hub       without one it talks to itself only
  /// @par Errors      `errc::invalid_option`, naming the field.
  explicit LocalBackplane(boost::asio::any_io_executor executor, LocalHub hub = {},
                          Options options = {});
  LocalBackplane(const LocalBackplane&) = delete;
  LocalBackplane& operator=(const LocalBackplane&) = delete;
  ~LocalBackplane();

  /// None once its `io_context` is gone.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept;
  /// Those of the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  /// From now on the handlers get what is published. Nothing happens if it has started already.
  /// @par Errors    `errc::backplane_unavailable` if the backplane or its `io_context` is gone.
  /// @par Suspends  never.
  ROOST_WHEN_USED awaitable<void> start();

  /// The handlers get nothing any more, not even what waits for them; what is under way, a
  /// coroutine or a call on another thread, is left to itself. `start` begins anew.
  /// @par Suspends  never.
  ROOST_WHEN_USED awaitable<void> stop();

  /// Brings @p message to every handler of the started backplanes on the channel, whether this one
  /// has started or not.
  /// @returns how many backplanes that were.
  /// @par Errors    at the call `errc::invalid_json` (no object, not serialisable, nested over 64
  ///                levels) and `message_too_big`.
  /// @par Suspends  never.
  ROOST_WHEN_USED awaitable<Published> publish(const nlohmann::json& message);

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns what removes it; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler);

  /// @private For `Cluster`.
  ROOST_WHEN_USED awaitable<Published> publish_wire(detail::OutgoingMessage message);
  /// @private
  Subscription on_parcel(detail::ParcelHandler handler, const void* member = nullptr);

  /// What was counted so far.
  [[nodiscard]] LocalBackplaneStats stats() const;

 private:
  struct State;
  using StatePtr = std::shared_ptr<State>;

  // No hop to the backplane's executor: its `io_context` may be gone when they are awaited.
  ROOST_WHEN_USED static awaitable<void> run_start(StatePtr state);
  ROOST_WHEN_USED static awaitable<void> run_stop(StatePtr state);
  ROOST_WHEN_USED awaitable<Published> publish_text(std::string text, const void* origin);
  ROOST_WHEN_USED static awaitable<Published> run_publish(StatePtr state, detail::ParcelPtr parcel,
                                                          const void* origin);

  const StatePtr state_;
};

static_assert(Backplane<LocalBackplane>);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/local_backplane.ipp"
#endif
