// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/query.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "roost/backplane.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/context_guard.hpp"
#include "roost/detail/inbound.hpp"
#include "roost/detail/local_hub.hpp"
#include "roost/detail/parcel.hpp"
#include "roost/detail/wire_message.hpp"
#include "roost/error.hpp"
#include "roost/log.hpp"

namespace roost {

/// What the `LocalBackplane`s of one process meet at. Copies share it.
///
/// @par Thread safety  From any thread.
/// @par Lifetime       Backplanes keep what they need of it.
class LocalHub {
 public:
  /// A new one, which nobody shares yet.
  LocalHub() : state_(std::make_shared<detail::LocalHubState>()) {}

 private:
  friend class LocalBackplane;
  std::shared_ptr<detail::LocalHubState> state_;
};

/// The options of a `LocalBackplane`, fixed for its life.
struct LocalBackplaneOptions {
  /// Which of the hub's messages are for this backplane. Not empty.
  std::string channel = "roost";
  /// Per message published, in bytes of JSON. At least 1.
  std::size_t max_message_bytes = 1'048'576;
  /// How many messages may wait for one handler; what comes then is dropped. At least 1.
  std::size_t max_queued_messages = 10'000;
  /// The same in bytes of JSON. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 16'777'216;
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
/// @par Thread safety  From any thread, awaited from any executor; the destructor on the executor
/// of
///                     the backplane, or while nothing runs it.
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
                          Options options = {})
      : state_(std::make_shared<State>(std::move(executor), std::move(hub.state_),
                                       std::move(options))) {}
  LocalBackplane(const LocalBackplane&) = delete;
  LocalBackplane& operator=(const LocalBackplane&) = delete;
  ~LocalBackplane() { state_->close(); }

  /// None once its `io_context` is gone.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return state_->executor;
  }
  /// Those of the constructor.
  [[nodiscard]] const Options& options() const noexcept { return state_->options; }

  /// From now on the handlers get what is published. Nothing happens if it has started already.
  /// @par Errors    `errc::backplane_unavailable` if the backplane or its `io_context` is gone.
  /// @par Suspends  never.
  ROOST_WHEN_USED awaitable<void> start() { return run_start(state_); }

  /// The handlers get nothing any more, not even what waits for them; what is under way, a
  /// coroutine or a call on another thread, is left to itself. `start` begins anew.
  /// @par Suspends  never.
  ROOST_WHEN_USED awaitable<void> stop() { return run_stop(state_); }

  /// Brings @p message to every handler of the started backplanes on the channel, whether this one
  /// has started or not.
  /// @returns how many backplanes that were.
  /// @par Errors    at the call `errc::invalid_json` (no object, not serialisable, nested over 64
  ///                levels) and `message_too_big`.
  /// @par Suspends  never.
  ROOST_WHEN_USED
  awaitable<Published> publish(const nlohmann::json& message) {
    return publish_text(detail::serialize_message(message, options().max_message_bytes));
  }

  /// Adds a handler. It is called on the backplane's executor, with one message after the other.
  /// @returns what removes it; it may be ignored.
  /// @par Errors  `errc::invalid_option` if the handler is empty.
  Subscription on(BackplaneHandler handler) { return state_->inbound->on(std::move(handler)); }

  /// @private For `Cluster`.
  ROOST_WHEN_USED
  awaitable<Published> publish_wire(detail::OutgoingMessage message) {
    detail::check_size(message.text, options().max_message_bytes);
    return publish_text(std::move(message.text));
  }
  /// @private
  Subscription on_parcel(detail::ParcelHandler handler) {
    return state_->inbound->on(std::move(handler));
  }

  /// What was counted so far.
  [[nodiscard]] LocalBackplaneStats stats() const {
    const detail::Inbound::Counts counts = state_->inbound->counts();
    return {.published = state_->published,
            .received = counts.received,
            .dropped = counts.dropped,
            .failed = counts.failed};
  }

 private:
  struct State final : private detail::ContextGuard {
    State(boost::asio::any_io_executor its_executor, std::shared_ptr<detail::LocalHubState> its_hub,
          Options its_options)
        : ContextGuard(boost::asio::query(its_executor, boost::asio::execution::context)),
          options((validate(its_options), std::move(its_options))),
          hub(std::move(its_hub)),
          inbound(std::make_shared<detail::Inbound>(
              its_executor,
              detail::InboundLimits{options.max_queued_messages, options.max_queued_bytes},
              options.logger)),
          executor(std::move(its_executor)) {}

    void close() noexcept {
      leave_context();
      on_context_destroyed();
    }
    void on_context_destroyed() noexcept override {
      inbound->close();  // first: from then on it cannot join again
      hub->leave(options.channel, inbound);
      executor = boost::asio::any_io_executor();  // a strand must go before its context
    }

    const Options options;
    const std::shared_ptr<detail::LocalHubState> hub;
    const std::shared_ptr<detail::Inbound> inbound;
    boost::asio::any_io_executor executor;
    std::atomic<std::uint64_t> published = 0;
  };
  using StatePtr = std::shared_ptr<State>;

  static void validate(const Options& options) {
    const auto check = [](bool ok, const char* what) {
      if (!ok) throw Error(errc::invalid_option, what);
    };
    check(!options.channel.empty(), "channel must not be empty");
    check(options.max_message_bytes > 0, "max_message_bytes must be at least 1");
    check(options.max_queued_messages > 0, "max_queued_messages must be at least 1");
    check(options.max_queued_bytes >= options.max_message_bytes,
          "max_queued_bytes must be at least max_message_bytes");
  }

  // No hop to the backplane's executor: its `io_context` may be gone when they are awaited.
  ROOST_WHEN_USED
  static awaitable<void> run_start(StatePtr state) {
    if (!state->hub->join(state->options.channel, state->inbound)) {
      throw Error(errc::backplane_unavailable, "the LocalBackplane or its io_context is gone");
    }
    co_return;
  }
  ROOST_WHEN_USED
  static awaitable<void> run_stop(StatePtr state) {
    state->hub->leave(state->options.channel, state->inbound);
    state->inbound->discard();
    co_return;
  }
  ROOST_WHEN_USED
  awaitable<Published> publish_text(std::string text) {
    // What a reader in another process would see, rather than a copy.
    return run_publish(state_, std::make_shared<const detail::Parcel>(std::move(text)));
  }
  ROOST_WHEN_USED
  static awaitable<Published> run_publish(StatePtr state, detail::ParcelPtr parcel) {
    ++state->published;
    co_return state->hub->publish(state->options.channel, parcel, *state->inbound);
  }

  const StatePtr state_;
};

static_assert(Backplane<LocalBackplane>);

}  // namespace roost
