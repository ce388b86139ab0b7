// SPDX-License-Identifier: MIT
#pragma once

#include <boost/intrusive/list.hpp>
#include <initializer_list>

#include "roost/access/connection_limiter.hpp"
#include "roost/access/origin_policy.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/log.hpp"
#include "roost/beast/http/http.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/request.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/lifecycle/gate.hpp"

namespace roost {

/// A request that does not ask for a WebSocket. The body is not read. Repeated lines of a header
/// that matters for an upgrade (`Connection`, `Host`, ...) are joined. The target is a path with
/// its query, also if the request had a URL.
using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;
/// The response of `ListenOptions::on_http`.
using HttpResponse = boost::beast::http::response<boost::beast::http::string_body>;

/// Options of `listen`: how clients are treated until they have a WebSocket.
struct ListenOptions {
  /// Options of each connection. `max_message_bytes` is taken from the manager.
  StreamOptions stream = {};
  /// Answers requests that do not ask for a WebSocket, for example with a page or a health check;
  /// `path_of` gives the path. The connection is closed after each response. Called on the executor
  /// of the manager, with the head of the request only. If it throws, the answer is 500. Not set:
  /// the answer is 426.
  std::function<HttpResponse(const HttpRequest&)> on_http = {};
  /// Limits for all connections with the same key.
  KeyLimits per_key = {};
  /// Maps a peer's address to its key. An empty key has no limit; by default the addresses of
  /// proxies (loopback, private, link-local) have none. Called before anything is read. A
  /// connection over the limit is closed without an answer, so that a flood costs little.
  std::function<std::string(const boost::asio::ip::address&)> address_key = roost::address_key;
  /// Maps a request to its key, for example to the address that your proxy wrote into a header. If
  /// set, it replaces `address_key`. A request over the limit gets a 429 with `Retry-After`.
  std::function<std::string(const HttpRequest&, const boost::asio::ip::tcp::endpoint&)>
      request_key = {};
  /// How many connections may be in their handshake at the same time. One more, and the oldest of
  /// them is closed, so that clients that are slow on purpose do not keep others out. At least 1.
  std::size_t max_handshakes = 1'000;
  /// How many connections the kernel queues until they are accepted. The default is the system's
  /// maximum.
  int backlog = boost::asio::socket_base::max_listen_connections;
  /// Whether several listeners may share the port (`SO_REUSEPORT`), for example one for each
  /// thread, or one of an old and one of a new process. The kernel distributes new connections over
  /// them. Throws `errc::address_unavailable` on systems that cannot do so.
  ///
  /// Such a listener stops when a drain begins, so that new connections go to the other listeners.
  /// Connections that the kernel has completed are accepted before it stops, and get a 503. A
  /// connection that the kernel is just completing is reset, unless the system has
  /// `net.ipv4.tcp_migrate_req=1`, which moves it to another listener. A health check that asks
  /// only this process finds the port closed.
  bool reuse_port = false;
};

namespace detail {

/// What all links of a listener share, so that it is not looked up for each.
struct SharedByLinks {
  std::shared_ptr<Flusher> flusher;
  std::shared_ptr<ReadPoller> poller;
  std::shared_ptr<const StreamOptions> options;
};

/// The state that a listener shares with its coroutines.
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
  class Visitor;
  // A visitor is in one of these lists: first in that of the handshakes, the oldest first.
  using VisitorHook = boost::intrusive::list_base_hook<boost::intrusive::tag<class Visitor>>;
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
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept {
    log_throttled(logger, throttle, options.stream.clock->now(), severity, event, fields);
  }

  /// Stops listening, and aborts the connections that the application does not know yet.
  void stop() noexcept;
  void hand_over() noexcept override;
  void close() noexcept override;
  void cut_off() noexcept override;

  /// A client that has connected, until the application is done with it: one task of the gate. Its
  /// coroutines are those of `run`.
  class Visitor final : public VisitorHook,
                        public TaskGroup::Task,
                        public std::enable_shared_from_this<Visitor> {
   public:
    /// @param deadline  of its request
    Visitor(std::shared_ptr<Listening> listening, const std::shared_ptr<Link>& link,
            Clock::time_point deadline)
        : Task(listening->gate->visits(), link->get_executor()),
          deadline_(deadline),
          listening_(std::move(listening)),
          link_(link) {
      listening_->handshakes.push_back(*this);
    }
    Visitor(const Visitor&) = delete;
    Visitor& operator=(const Visitor&) = delete;
    ~Visitor() {
      Visitors& list = is_in_handshake_ ? listening_->handshakes : listening_->others;
      list.erase(list.iterator_to(*this));
      listening_->note_handshake_ended();
      finish();
    }

    /// Runs a coroutine for the client, which keeps this until it ends. @pre none runs
    void run(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> coroutine);
    /// Called when the coroutine has ended.
    void end(const std::exception_ptr& error);
    /// Called when the coroutine was destroyed before its end.
    void abandon() noexcept {}

    [[nodiscard]] Listening& listening() const noexcept { return *listening_; }

    /// The link; null once it is closed or carries a WebSocket.
    [[nodiscard]] std::shared_ptr<Link> link() const noexcept {
      std::shared_ptr<Link> link = link_.lock();
      return link && !link->has_owner() ? link : nullptr;
    }
    /// Whether the application knows of it.
    [[nodiscard]] bool is_known() const noexcept { return is_known_; }
    void become_known() noexcept {
      is_known_ = true;
      end_handshake();
    }
    /// Stops counting it as a handshake.
    void end_handshake() noexcept {
      if (!std::exchange(is_in_handshake_, false)) return;
      listening_->others.splice(listening_->others.end(), listening_->handshakes,
                                listening_->handshakes.iterator_to(*this));
      listening_->note_handshake_ended();
    }
    /// Until when the request must have arrived; `Timer::never()` once it has.
    [[nodiscard]] Clock::time_point deadline() const noexcept { return deadline_; }
    void tighten_deadline(Clock::time_point latest) noexcept {
      if (deadline_ != Timer::never()) deadline_ = std::min(deadline_, latest);
    }
    Clock::time_point take_deadline() noexcept { return std::exchange(deadline_, Timer::never()); }
    [[nodiscard]] bool is_in_handshake() const noexcept { return is_in_handshake_; }
    /// Receives the link of an `Upgrade` that was destroyed without an answer.
    [[nodiscard]] std::shared_ptr<Link>& unanswered() noexcept { return unanswered_; }
    /// Whether there is such a link, and its peer still waits.
    [[nodiscard]] bool waits_for_answer() const noexcept {
      return unanswered_ && !unanswered_->is_down() && !listening_->is_stopped;
    }

   private:
    bool is_in_handshake_ = true;
    bool is_known_ = false;
    Clock::time_point deadline_;
    const std::shared_ptr<Listening> listening_;
    const std::weak_ptr<Link> link_;
    std::shared_ptr<Link> unanswered_;
  };

 private:
  void end_accepting() noexcept;
  /// Lets `watch_handshakes` end if it has nothing to watch any more.
  void note_handshake_ended() noexcept {
    if ((is_stopped || is_handed_over) && handshakes.empty()) handshakes_changed.notify_all();
  }
  template <class Predicate>
  void abort_if(Predicate predicate) noexcept;
};

/// Serves one connection: from its first byte to the end of the application's handler.
ROOST_DECL void begin_serving(const std::shared_ptr<Listening>& listening,
                              const std::shared_ptr<Link>& link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint);

/// Opens a socket that listens and does not block. On Linux, accepted sockets inherit its options.
/// @par Errors  `errc::address_unavailable`.
ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    const ListenOptions& options);

/// Accepts connections until the listener is stopped or handed over.
ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor);

/// Logs the current exception, which the application has thrown.
ROOST_DECL void log_failure(const Logger& logger) noexcept;

/// Binds immediately, and accepts connections from then on.
/// @par Errors  `errc::address_unavailable`; `draining`.
ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening);

}  // namespace detail

/// A listening socket. Destroying it stops it; connections that have become an `Upgrade` go on.
///
/// @par Lifetime       May outlive its `io_context`.
/// @par Thread safety  None: use it on the executor of its manager, or while nothing runs it.
class [[nodiscard]] Listener {
 public:
  /// @private For `listen`.
  explicit Listener(std::shared_ptr<detail::Listening> listening)
      : listening_(std::move(listening)) {}
  /// Takes the socket over; the moved-from object must only be destroyed or assigned to.
  Listener(Listener&&) noexcept = default;
  /// Stops this listener, then takes the socket of @p other over.
  Listener& operator=(Listener&& other) noexcept {
    stop();
    listening_ = std::move(other.listening_);
    return *this;
  }
  ~Listener() { stop(); }

  /// The address on which it listens. If port 0 was requested, it has the port that the system
  /// chose.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& local_endpoint() const noexcept {
    return listening_->local_endpoint;
  }
  /// The port of `local_endpoint`.
  [[nodiscard]] std::uint16_t port() const noexcept { return local_endpoint().port(); }

  /// Stops accepting. Connections that have not become an `Upgrade` are aborted.
  void stop() noexcept;

 private:
  std::shared_ptr<detail::Listening> listening_;
};

namespace detail {

template <class Ws, class Handler, class MakeLink>
Listener start_listening(const ConnectionManager<Ws>& manager,
                         const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                         Handler handler, MakeLink make_link) {
  validate(options.stream);
  validate(options.per_key.rate, "per_key.rate");
  check_option(options.max_handshakes > 0, "max_handshakes must be at least 1");
  const auto& own = manager.options();
  options.stream.max_message_bytes = own.max_message_bytes.value_or(0);
  auto listening = std::make_shared<Listening>(std::move(options));
  listening->origins =
      own.allowed_origins.is_set() ? own.allowed_origins : OriginPolicy::same_host();
  listening->logger = own.logger;
  listening->gate = ManagerAccess::state(manager)->gate();
  listening->make_link = std::move(make_link);
  listening->handler = std::move(handler);
  start_listening(manager.get_executor(), endpoint, listening);
  return Listener(std::move(listening));
}

template <class Handler>
concept HandlesUpgrades =
    std::is_same_v<std::invoke_result_t<Handler&, Upgrade>, boost::asio::awaitable<void>>;

}  // namespace detail

/// Listens on @p endpoint, and calls @p handler with an `Upgrade` for each request for a WebSocket
/// whose origin is allowed by the manager's `allowed_origins`. If no origins are set, a browser's
/// page must come from the requested host, and clients that are not browsers are allowed. Other
/// origins get 403.
///
/// While the manager drains, requests get 503 with `Retry-After`. The listener stops at the end of
/// the drain, or with its manager; with `reuse_port` it stops at the beginning of the drain.
/// Programs that the process starts do not inherit its sockets.
/// @param endpoint  an address of this machine; port 0: the system chooses, see `Listener::port`
/// @param handler   called with an `Upgrade`, returns `awaitable<void>`. If it throws, that is
///                  logged, and answered with 500 unless the upgrade was answered. A drain waits
///                  for it, and cancels it in the end, as for the handlers of sessions.
/// @par Errors      `errc::address_unavailable`, naming the address; `invalid_option`, naming the
///                  field; `draining` once a drain has begun.
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                Handler handler) {
  return detail::start_listening(
      manager, endpoint, std::move(options), std::move(handler),
      [](boost::asio::ip::tcp::socket socket, const detail::SharedByLinks& shared) {
        return std::make_shared<detail::LinkOver<detail::TcpTransport>>(
            shared.flusher, shared.options, std::move(socket), shared.poller);
      });
}

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/listen.ipp"
#endif
