// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/build/config.hpp"
#include "roost/beast/beast_websocket.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/http.hpp"
#include "roost/beast/http/target.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/link.hpp"
#include "roost/beast/transport/tcp_transport.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost {

/// Whether a request asks for a WebSocket. For an existing server that has read the request and
/// could make an `Upgrade` of it. Looks at all lines of `Connection` and `Upgrade` (RFC 9110,
/// section 5.3); the function of this name in Beast looks at the first line of each.
[[nodiscard]] inline bool is_upgrade(const boost::beast::http::request_header<>& request) {
  return detail::asks_for_websocket(request);
}

/// A request for a WebSocket that has not been answered yet: look at it, then accept or reject it.
///
/// Comes from `listen`, from `read_upgrade`, or is made from the socket, request and leftover bytes
/// that an existing Beast server has read.
///
/// @par Lifetime       Destroying an unanswered upgrade closes the connection. If the handler of
///                     `listen` ends with an exception, the answer is 500. An upgrade that is not
///                     answered within `handshake_timeout` is aborted.
/// @par Thread safety  `accept` and `reject` may be awaited from any executor.
class Upgrade {
 public:
  /// The type of the request, which has no body.
  using Request = boost::beast::http::request<boost::beast::http::empty_body>;

  /// Takes over a stream and a request that was read from it. The stream is a TCP socket or, with
  /// `roost/beast/tls.hpp`, a TLS stream.
  /// @param executor  that of the manager; a TCP socket of another executor is moved there
  /// @param leftover  bytes that were read after the request
  /// @par Errors  `errc::not_an_upgrade`; `invalid_option`, naming the field; `wrong_executor` for
  ///              a TLS stream of another executor. After an error the stream is unchanged.
  template <class Stream, class Body>
    requires(!std::is_reference_v<Stream>)
  Upgrade(const boost::asio::any_io_executor& executor, Stream&& stream,
          const boost::beast::http::request<Body>& request, boost::asio::const_buffer leftover = {},
          const StreamOptions& options = {})
      : pending_(std::make_unique<Pending>()) {
    pending_->request = Request(request.base());
    static_cast<void>(detail::normalise(pending_->request));  // `accept` answers an invalid one
    require_upgrade(pending_->request);
    detail::validate(options);
    boost::system::error_code ignored;
    remote_endpoint_ = stream.lowest_layer().remote_endpoint(ignored);
    pending_->link = detail::make_link(executor, std::forward<Stream>(stream), options);
    pending_->link->put_back(leftover);
    pending_->link->set_deadline(options.handshake_timeout);
  }

  /// @private For roost's own readers of requests.
  Upgrade(std::shared_ptr<detail::Link> link, Request request,
          boost::asio::ip::tcp::endpoint remote_endpoint)
      : pending_(new Pending{std::move(request), std::move(link)}),
        remote_endpoint_(std::move(remote_endpoint)) {
    require_upgrade(pending_->request);
  }
  /// @private For a listener.
  /// @param unanswered  receives the link if the upgrade is destroyed without an answer
  /// @pre `check_handshake` has accepted the request
  Upgrade(std::shared_ptr<detail::Link> link, Request request,
          boost::asio::ip::tcp::endpoint remote_endpoint,
          std::weak_ptr<std::shared_ptr<detail::Link>> unanswered)
      : pending_(new Pending{.request = std::move(request),
                             .link = std::move(link),
                             .unanswered = std::move(unanswered),
                             .is_checked = true}),
        remote_endpoint_(std::move(remote_endpoint)) {}

  /// Takes the connection over; the moved-from upgrade counts as answered.
  Upgrade(Upgrade&&) noexcept = default;
  /// Takes the connection over; the moved-from upgrade counts as answered.
  Upgrade& operator=(Upgrade&&) noexcept = default;
  ~Upgrade();

  // --- the request: until `accept`, which hands it to the socket ---

  /// The request as it was read.
  /// @par Errors  `std::logic_error` after `accept`, since the request belongs to the socket then,
  ///              also if `accept` failed, and if the upgrade was moved from. A handler that logs
  ///              the request when `accept` throws has to copy it before. `target`, `path`,
  ///              `path_after`, `query`, `subprotocol_after` and `header` throw it, too.
  [[nodiscard]] const Request& request() const;
  /// The request target as it came: path and query.
  [[nodiscard]] std::string_view target() const { return detail::to_std(request().target()); }
  /// The path as it came, percent-encoded.
  [[nodiscard]] std::string_view path() const { return detail::path_of(target()); }
  /// The rest of the path after @p prefix, decoded, if that rest is exactly one segment: with the
  /// prefix `/ws/`, the path `/ws/my%20room` gives `my room`. Else `nullopt`.
  [[nodiscard]] std::optional<std::string> path_after(std::string_view prefix) const {
    return detail::segment_after(path(), prefix);
  }
  /// The first parameter named @p name in the query, decoded; `nullopt` if there is none.
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const {
    return detail::query_parameter(target(), name);
  }
  /// The rest of the first offered subprotocol that begins with @p prefix: if the client offers
  /// "chat, bearer.TOKEN", the prefix "bearer." gives "TOKEN". A page can set no other header than
  /// the list of subprotocols, so it can carry a token. Accept another of the offered subprotocols,
  /// so that the token is not in the response.
  [[nodiscard]] std::optional<std::string> subprotocol_after(std::string_view prefix) const {
    return detail::subprotocol_after(request(), prefix);
  }
  /// A header of the request; names are compared without regard to case.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return detail::header_value(request(), name);
  }
  /// The address of the peer, or of the proxy in front of it.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& remote_endpoint() const noexcept {
    return remote_endpoint_;
  }

  // --- the answer ---

  /// Accepts the upgrade and completes the handshake. Read the path, `query` and headers before:
  /// afterwards the request belongs to the socket, and reading it here throws `std::logic_error`,
  /// also in a `catch` of what `accept` throws.
  /// @par Errors    Beast's errors, also for a request that RFC 6455 does not allow, which is first
  ///                answered with 400 or 426; `errc::connection_closed` if the peer has left, the
  ///                deadline has passed, or the upgrade was answered already.
  /// @par Suspends  until the response is sent, at most until the handshake's deadline.
  boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> accept(const AcceptOptions& options = {});

  /// Answers with an HTTP status, for example 403, and closes the connection once the response has
  /// arrived.
  /// @param body  plain text; empty: the name of the status
  /// @par Errors    none from the network: a peer that is gone needs no answer.
  /// @par Suspends  until the connection is closed.
  boost::asio::awaitable<void> reject(unsigned status, std::string_view body = {},
                                      const RejectOptions& options = {});

 private:
  /// The request and its connection, until they are answered. They are not members of `Upgrade`,
  /// since an `Upgrade` takes memory in the application's coroutine as long as the connection
  /// lives.
  struct Pending {
    Request request;
    std::shared_ptr<detail::Link> link;  // null once answered
    std::weak_ptr<std::shared_ptr<detail::Link>> unanswered = {};
    bool is_checked = false;  // by `check_handshake`
    // Of the answer; here, so that they are not in a coroutine's frame.
    std::string subprotocol = {};
    std::string server = {};
    boost::asio::ip::tcp::endpoint remote_endpoint = {};
  };

  static void require_upgrade(const Request& request);
  /// @par Errors  `errc::connection_closed` once answered.
  Pending& unanswered();
  std::shared_ptr<detail::Link> take_link();
  static boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> complete_handshake(
      std::unique_ptr<Pending> pending, std::shared_ptr<detail::Link> link);
  static boost::asio::awaitable<void> check(Pending& pending, std::shared_ptr<detail::Link> link);
  static std::shared_ptr<BeastWebSocket> start(Pending& pending,
                                               const std::shared_ptr<detail::Link>& link);

  std::unique_ptr<Pending> pending_;  // null once accepted
  boost::asio::ip::tcp::endpoint remote_endpoint_;
};

namespace detail {

ROOST_DECL boost::asio::awaitable<Upgrade> read_upgrade(
    std::shared_ptr<Link> link, boost::asio::ip::tcp::endpoint remote_endpoint);

}  // namespace detail

/// Reads a request for a WebSocket from a connected stream. For applications that accept sockets
/// themselves; else see `listen`.
/// @param executor  that of the manager; a socket of another executor is moved there
/// @par Errors    `errc::not_an_upgrade`, after an answer of 426; `timed_out`; Beast's errors,
///                after an answer of 400, 414 or 431; `invalid_option`.
/// @par Suspends  until the request has arrived, at most `handshake_timeout`.
template <class Stream>
  requires(!std::is_reference_v<Stream>)
boost::asio::awaitable<Upgrade> read_upgrade(const boost::asio::any_io_executor& executor,
                                             Stream&& stream, const StreamOptions& options = {}) {
  boost::system::error_code ignored;
  const auto remote_endpoint = stream.lowest_layer().remote_endpoint(ignored);
  return detail::on_executor(
      executor,
      detail::read_upgrade(detail::make_link(executor, std::forward<Stream>(stream), options),
                           remote_endpoint));
}

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/upgrade.ipp"
#endif
