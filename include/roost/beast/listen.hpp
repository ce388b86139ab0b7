// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include "roost/access/connection_limiter.hpp"
#include "roost/access/origin_policy.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/log.hpp"
#include "roost/base/logging/log_throttle.hpp"
#include "roost/beast/http/http.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/request.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/lifecycle/gate.hpp"

namespace roost {

/// A request that asks for no WebSocket. Its body is not read. Header lines of a name that decides
/// about an upgrade (`Connection`, `Host`, ...) are joined; the target is a path with its query,
/// also where it came as a URL.
using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;
/// What `ListenOptions::on_http` answers.
using HttpResponse = boost::beast::http::response<boost::beast::http::string_body>;

/// How `listen` treats those who come, until they are WebSockets.
struct ListenOptions {
  /// For each connection. Its `max_message_bytes` is taken from the manager.
  StreamOptions stream = {};
  /// Answers requests that ask for no WebSocket: a page, a health check; `path_of` says which. The
  /// connection is closed after each. Called on the executor of the manager, and not told of the
  /// body. If it throws, the answer is 500. Not set: 426.
  std::function<HttpResponse(const HttpRequest&)> on_http = {};
  /// What the connections of one key may have together.
  KeyLimits per_key = {};
  /// The key of a peer's address; empty: no limit, which by default is so for those that a proxy
  /// has. Asked before anything is read. Who is over the limit is closed without a word: a flood
  /// must cost nothing.
  std::function<std::string(const boost::asio::ip::address&)> address_key = roost::address_key;
  /// Set, it takes the place of `address_key`: the key of a request, such as an address that your
  /// proxy wrote into a header. Who is over the limit gets a 429 with `Retry-After`.
  std::function<std::string(const HttpRequest&, const boost::asio::ip::tcp::endpoint&)>
      request_key = {};
  /// Connections whose request has not been read at once. One more, and the oldest gives way: who
  /// is slow on purpose loses its place to who is not. At least 1.
  std::size_t max_handshakes = 1'000;
  /// How many connections the kernel keeps until they are accepted. The default is the system's.
  int backlog = boost::asio::socket_base::max_listen_connections;
  /// Whether several listeners may share the port (`SO_REUSEPORT`): one for each thread, or for an
  /// old and a new process, and the kernel spreads those that come over them.
  /// `errc::address_unavailable` where it cannot.
  ///
  /// Such a listener stops when a drain begins, so that newcomers go to the others instead of
  /// getting a 503 from this one, which is for those only that were on the way: connections that
  /// the kernel has completed are accepted before. One that it is just completing is reset, unless
  /// the system has `net.ipv4.tcp_migrate_req=1`, which moves it to the others. A health check that
  /// asks this process alone finds the port closed.
  bool reuse_port = false;
};

namespace detail {

/// What a listener shares with its coroutines.
struct Listening final : Entrance {
  ListenOptions options;
  OriginPolicy origins;
  Logger logger;
  std::shared_ptr<Gate> gate;
  std::function<std::unique_ptr<Transport>(boost::asio::ip::tcp::socket)> make_transport;
  std::function<boost::asio::awaitable<void>(Upgrade)> handler;
  boost::asio::ip::tcp::endpoint local_endpoint;
  // Owned by the accepting coroutine, so that it goes with the context; null once that has ended.
  boost::asio::ip::tcp::acceptor* acceptor = nullptr;
  bool is_stopped = false;      // maybe before that coroutine has started
  bool is_handed_over = false;  // its port: those that are queued are still let in
  ConnectionLimiter limiter;
  LogThrottle throttle;
  class Visitor;
  std::unordered_set<Visitor*> visitors;
  std::list<Visitor*> handshakes;  // those of the visitors that are not known, the oldest first

  explicit Listening(ListenOptions listen_options = {})
      : options(std::move(listen_options)), limiter(options.per_key, *options.stream.clock) {}

  /// A place among those of its key, or why there is none, which is counted and logged.
  ConnectionLimiter::Slot admit(const std::string& key);
  /// Counts and logs it.
  void note_refusal(const Refusal& refusal) noexcept;
  /// How long a request may take to come: less once a drain has begun.
  [[nodiscard]] Clock::duration handshake_timeout() const noexcept;
  /// Until there is a place for one more.
  void evict_handshakes() noexcept;
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept {
    log_throttled(logger, throttle, options.stream.clock->now(), severity, event, fields);
  }

  /// Ends the listening, and the connections that the application does not know of yet.
  void stop() noexcept;
  void hand_over() noexcept override;
  void close() noexcept override;
  void shut() noexcept override;

  /// Who has come, until the application is done with it.
  class Visitor {
   public:
    Visitor(std::shared_ptr<Listening> listening, const std::shared_ptr<Link>& link)
        : listening_(std::move(listening)), link_(link) {
      listening_->visitors.insert(this);
      position_ = listening_->handshakes.insert(listening_->handshakes.end(), this);
    }
    Visitor(const Visitor&) = delete;
    Visitor& operator=(const Visitor&) = delete;
    ~Visitor() {
      end_handshake();
      listening_->visitors.erase(this);
    }

    [[nodiscard]] Listening& listening() const noexcept { return *listening_; }

    /// Null once it is closed, or a WebSocket.
    [[nodiscard]] std::shared_ptr<Link> link() const noexcept {
      std::shared_ptr<Link> link = link_.lock();
      return link && !link->has_owner() ? link : nullptr;
    }
    /// To the application.
    [[nodiscard]] bool is_known() const noexcept { return is_known_; }
    void become_known() noexcept {
      is_known_ = true;
      end_handshake();
    }
    /// It counts no more.
    void end_handshake() noexcept {
      if (!std::exchange(is_in_handshake_, false)) return;
      listening_->handshakes.erase(position_);
    }
    [[nodiscard]] bool is_in_handshake() const noexcept { return is_in_handshake_; }
    /// Where the link of an `Upgrade` goes that was dropped without an answer.
    [[nodiscard]] std::shared_ptr<Link>& unanswered() noexcept { return unanswered_; }
    /// Whether there is such a link, and somebody at its other end.
    [[nodiscard]] bool waits_for_answer() const noexcept {
      return unanswered_ && !unanswered_->is_down() && !listening_->is_stopped;
    }

   private:
    std::list<Visitor*>::iterator position_;
    bool is_in_handshake_ = true;
    bool is_known_ = false;
    const std::shared_ptr<Listening> listening_;
    const std::weak_ptr<Link> link_;
    std::shared_ptr<Link> unanswered_;
  };

 private:
  void end_accepting() noexcept;
  template <class Predicate>
  void abort_if(Predicate predicate) noexcept;
};

/// Begins one connection; from its first byte to the handler of the application.
ROOST_DECL void begin_serving(const boost::asio::any_io_executor& executor,
                              const std::shared_ptr<Listening>& listening,
                              std::shared_ptr<Link> link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint);

/// A socket that listens, and does not block. What it accepts inherits its options, on Linux.
/// @par Errors  `errc::address_unavailable`
ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    const ListenOptions& options);

/// Accepts until the listening is stopped or handed over.
ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor);

/// Logs the exception that is being handled, which the application has thrown.
ROOST_DECL void log_failure(const Logger& logger) noexcept;

/// Binds at once, and accepts from then on.
/// @par Errors  `errc::address_unavailable`; `draining`
ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening);

}  // namespace detail

/// A socket that listens; stops when destroyed. Connections that asked for a WebSocket go on.
///
/// @par Lifetime       May outlive its `io_context`.
/// @par Thread safety  None: to be used on the executor of its manager, or while nothing runs it.
class [[nodiscard]] Listener {
 public:
  /// @private For `listen`.
  explicit Listener(std::shared_ptr<detail::Listening> listening)
      : listening_(std::move(listening)) {}
  /// Moves the socket; the other must only be destroyed or assigned to.
  Listener(Listener&&) noexcept = default;
  /// Stops what it was first.
  Listener& operator=(Listener&& other) noexcept {
    stop();
    listening_ = std::move(other.listening_);
    return *this;
  }
  ~Listener() { stop(); }

  /// Where it listens: the port that the system chose, if 0 was asked for.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& local_endpoint() const noexcept {
    return listening_->local_endpoint;
  }
  /// The port of `local_endpoint`.
  [[nodiscard]] std::uint16_t port() const noexcept { return local_endpoint().port(); }

  /// Accepts nothing any more. Connections that have not become an `Upgrade` are aborted.
  void stop() noexcept;

 private:
  std::shared_ptr<detail::Listening> listening_;
};

namespace detail {

template <class Ws, class Handler, class MakeTransport>
Listener start_listening(const ConnectionManager<Ws>& manager,
                         const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                         Handler handler, MakeTransport make_transport) {
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
  listening->make_transport = std::move(make_transport);
  listening->handler = std::move(handler);
  start_listening(manager.get_executor(), endpoint, listening);
  return Listener(std::move(listening));
}

template <class Handler>
concept HandlesUpgrades =
    std::is_same_v<std::invoke_result_t<Handler&, Upgrade>, boost::asio::awaitable<void>>;

}  // namespace detail

/// Listens at once, and calls @p handler with an `Upgrade` for each request that asks for a
/// WebSocket and that the manager's `allowed_origins` allow; where these are not set, the page must
/// come from the host that it asks, or be no browser at all. Others get 403. While the manager is
/// drained all get 503 with `Retry-After`, and at the end of that, or with its manager, the
/// listener stops; one with `reuse_port` does at its beginning. Programs that the process starts
/// get none of its sockets.
/// @param endpoint  an address of this machine; port 0: the system chooses, see `Listener::port`
/// @param handler   called with `Upgrade`, returns `awaitable<void>`. What it throws is logged, and
///                  answered with 500 if nothing was answered yet. A drain waits for it, and
///                  cancels it in the end, like the handlers of sessions.
/// @par Errors      `errc::address_unavailable`, naming the address; `invalid_option`, naming the
///                  field; `draining` once that has begun.
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                Handler handler) {
  return detail::start_listening(manager, endpoint, std::move(options), std::move(handler),
                                 [](boost::asio::ip::tcp::socket socket) {
                                   return std::make_unique<detail::TcpTransport>(std::move(socket));
                                 });
}

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/listen.ipp"
#endif
