// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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

/// Whether a request that an existing server has read asks for a WebSocket, so that an `Upgrade`
/// can be made of it. Looks at all lines of `Connection` and `Upgrade` (RFC 9110, section 5.3),
/// unlike the function of this name in Beast, which looks at the first of each.
[[nodiscard]] inline bool is_upgrade(const boost::beast::http::request_header<>& request) {
  return detail::asks_for_websocket(request);
}

/// A request that asks for a WebSocket, not answered yet: look at it, then accept or reject it.
///
/// Comes from `listen`, from `read_upgrade`, or from the socket, request and leftover bytes that an
/// existing Beast server has read.
///
/// @par Lifetime       Destroying it unanswered closes the connection; one of `listen` is answered
///                     with 500 if its handler ends by an exception. Unless it is answered within
///                     `handshake_timeout`, the connection is aborted.
/// @par Thread safety  `accept` and `reject` may be awaited from any executor.
class Upgrade {
 public:
  /// The request, without a body.
  using Request = boost::beast::http::request<boost::beast::http::empty_body>;

  /// Takes over a stream with a request that was read from it: a TCP socket, or with
  /// `roost/beast/tls.hpp` a TLS stream.
  /// @param executor  that of the manager; a TCP socket of another executor is moved there
  /// @param leftover  bytes that were read after the request
  /// @par Errors  `errc::not_an_upgrade`; `invalid_option`, naming the field; `wrong_executor` for
  ///              a TLS stream of another executor. Then the stream is untouched.
  template <class Stream, class Body>
    requires(!std::is_reference_v<Stream>)
  Upgrade(const boost::asio::any_io_executor& executor, Stream&& stream,
          const boost::beast::http::request<Body>& request, boost::asio::const_buffer leftover = {},
          const StreamOptions& options = {})
      : request_(request.base()) {
    static_cast<void>(detail::normalise(request_));  // what is wrong is answered by `accept`
    require_upgrade(request_);
    detail::validate(options);
    boost::system::error_code ignored;
    remote_endpoint_ = stream.lowest_layer().remote_endpoint(ignored);
    link_ = detail::make_link(executor, std::forward<Stream>(stream), options);
    link_->put_back(leftover);
    link_->set_deadline(options.handshake_timeout);
  }

  /// @private For roost's own readers of requests.
  /// @param unanswered  takes the link of one that is dropped without an answer
  Upgrade(std::shared_ptr<detail::Link> link, Request request,
          boost::asio::ip::tcp::endpoint remote_endpoint,
          std::weak_ptr<std::shared_ptr<detail::Link>> unanswered = {})
      : request_(std::move(request)),
        remote_endpoint_(std::move(remote_endpoint)),
        link_(std::move(link)),
        unanswered_(std::move(unanswered)) {
    require_upgrade(request_);
  }

  /// Moves the connection; the other has been answered.
  Upgrade(Upgrade&&) noexcept = default;
  /// Likewise.
  Upgrade& operator=(Upgrade&&) noexcept = default;
  ~Upgrade();

  // --- the request ---

  /// The request as it was read.
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /// The request target as it came: path and query.
  [[nodiscard]] std::string_view target() const { return detail::to_std(request_.target()); }
  /// The path as it came, percent-encoded.
  [[nodiscard]] std::string_view path() const { return detail::path_of(target()); }
  /// What follows @p prefix in the path, decoded, if that is exactly one segment: with the prefix
  /// `/ws/`, the path `/ws/my%20room` gives `my room`.
  [[nodiscard]] std::optional<std::string> path_after(std::string_view prefix) const {
    return detail::segment_after(path(), prefix);
  }
  /// The first parameter of that name in the query, decoded.
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const {
    return detail::query_parameter(target(), name);
  }
  /// What follows @p prefix in the first subprotocol that the client offers and that begins with
  /// it: of "chat, bearer.TOKEN" the prefix "bearer." gives "TOKEN". The list of subprotocols is
  /// the only header that a page can set: accept another of them, which is all that is answered.
  [[nodiscard]] std::optional<std::string> subprotocol_after(std::string_view prefix) const {
    return detail::subprotocol_after(request_, prefix);
  }
  /// A header; names in any case.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return detail::header_value(request_, name);
  }
  /// The peer, or the proxy in front of it.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& remote_endpoint() const noexcept {
    return remote_endpoint_;
  }

  // --- the answer ---

  /// Completes the handshake.
  /// @par Errors    what Beast reports, also of a request that RFC 6455 does not allow, after the
  /// peer
  ///                was told by 400 or 426; `errc::connection_closed` if the peer or the deadline
  ///                was faster, or if it was answered already.
  /// @par Suspends  until the response has left, at most until the handshake's deadline.
  boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> accept(const AcceptOptions& options = {});

  /// Answers with an HTTP status, such as 403, and closes the connection once that has arrived.
  /// @param body  plain text; empty: the name of the status
  /// @par Errors  none that the network makes: a peer that is gone needs no answer.
  boost::asio::awaitable<void> reject(unsigned status, std::string_view body = {},
                                      const RejectOptions& options = {});

 private:
  static void require_upgrade(const Request& request);
  std::shared_ptr<detail::Link> take_link();
  static boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> complete_handshake(
      std::shared_ptr<detail::Link> link, Request request, std::string subprotocol,
      std::string server, boost::asio::ip::tcp::endpoint remote_endpoint);

  Request request_;
  boost::asio::ip::tcp::endpoint remote_endpoint_;
  std::shared_ptr<detail::Link> link_;
  std::weak_ptr<std::shared_ptr<detail::Link>> unanswered_;
};

namespace detail {

ROOST_DECL boost::asio::awaitable<Upgrade> read_upgrade(
    std::shared_ptr<Link> link, boost::asio::ip::tcp::endpoint remote_endpoint);

}  // namespace detail

/// Reads a request that asks for a WebSocket from a connected stream. For those who accept sockets
/// by themselves; see `listen`.
/// @param executor  that of the manager; a socket of another executor is moved there
/// @par Errors    `errc::not_an_upgrade`, after the peer was told by 426; `timed_out`; what Beast
///                reports, after the peer was told by 400, 414 or 431; `invalid_option`.
/// @par Suspends  until the request has come, at most `handshake_timeout`.
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
