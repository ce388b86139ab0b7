// SPDX-License-Identifier: MIT
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <initializer_list>

#include "roost/access/origin_policy.hpp"
#include "roost/beast/http/http.hpp"
#include "roost/beast/listening/visitor.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/manager/lifecycle/gate.hpp"

namespace roost::detail {

/// What all links of a listener share, so that it is not looked up for each.
struct SharedByLinks {
  std::shared_ptr<Flusher> flusher;
  std::shared_ptr<ReadPoller> poller;
  std::shared_ptr<const StreamOptions> options;
};

/// The state that a listener shares with its coroutines: the port, and the clients that have come
/// through it.
struct Listening final : Entrance {
  ListenOptions options;
  OriginPolicy origins;
  Logger logger;
  std::shared_ptr<Gate> gate;
  std::function<std::shared_ptr<Link>(boost::asio::ip::tcp::socket, const SharedByLinks&)>
      make_link;
  std::function<boost::asio::awaitable<void>(Upgrade)> handler;
  boost::asio::ip::tcp::endpoint local_endpoint;
  // Owned by the accepting coroutine, so that it is destroyed with the context; null once that
  // coroutine has ended.
  boost::asio::ip::tcp::acceptor* acceptor = nullptr;
  bool is_stopped = false;      // may be set before that coroutine starts
  bool is_handed_over = false;  // only queued clients are still accepted
  ConnectionLimiter limiter;
  LogThrottle throttle;
  // A visitor is in one of these lists: first in that of the handshakes, the oldest first.
  using VisitorHook = boost::intrusive::list_base_hook<boost::intrusive::tag<Visitor>>;
  using Visitors = boost::intrusive::list<Visitor, boost::intrusive::base_hook<VisitorHook>>;
  Visitors handshakes;
  Visitors others;
  bool watches_handshakes = false;  // whether `watch_handshakes` runs
  WaitList handshakes_changed;      // notified when it must look again before the next deadline

  explicit Listening(ListenOptions listen_options = {})
      : options(std::move(listen_options)), limiter(options.per_key, *options.stream.clock) {}

  /// Asks for a place among the connections with @p key. If there is none, that is counted and
  /// logged.
  ConnectionLimiter::Slot admit(const std::string& key);
  /// Counts and logs a refusal.
  void note_refusal(const Refusal& refusal) noexcept;
  /// How long a request may take to arrive: less once a drain has begun.
  [[nodiscard]] Clock::duration handshake_timeout() const noexcept;
  /// The deadline of the handshake that is to end first; `Timer::never()` if there is none.
  [[nodiscard]] Clock::time_point next_deadline() const noexcept;
  /// Aborts the handshakes whose deadline is @p deadline or before.
  void abort_late(Clock::time_point deadline) noexcept;
  /// Ends the oldest handshakes until there is a place for one more.
  void evict_handshakes() noexcept;
  /// Lets `watch_handshakes` end if it has nothing to watch any more.
  void note_handshake_ended() noexcept {
    if ((is_stopped || is_handed_over) && handshakes.empty()) handshakes_changed.notify_all();
  }
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept {
    log_throttled(logger, throttle, options.stream.clock->now(), severity, event, fields);
  }

  /// Stops listening, and aborts the connections that the application does not know yet.
  void stop() noexcept;
  void hand_over() noexcept override;
  void close() noexcept override;
  void cut_off() noexcept override;

 private:
  void end_accepting() noexcept;
  template <class Predicate>
  void abort_if(Predicate predicate) noexcept;
};

/// Aborts clients whose request does not arrive in time. One timer serves them all, as they come in
/// the order of their deadlines. While the listener accepts, it is left to run out when no client
/// is left, since the next one comes soon.
ROOST_DECL boost::asio::awaitable<void> watch_handshakes(
    std::shared_ptr<Listening> listening, boost::asio::any_io_executor executor,
    std::shared_ptr<const StreamOptions> options);

/// Opens a socket that listens and does not block. On Linux, accepted sockets inherit its options.
/// @par Errors  `errc::address_unavailable`.
ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    const ListenOptions& options);

/// Binds immediately, and accepts connections from then on.
/// @par Errors  `errc::address_unavailable`; `draining`.
ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/listening/listening.ipp"
#include "roost/beast/listening/visitor.ipp"
#endif
