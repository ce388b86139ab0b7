// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/link.hpp"

namespace roost::detail {

/// Moves a socket to @p executor, if it belongs to another.
template <class SocketExecutor>
boost::asio::ip::tcp::socket move_to(
    const boost::asio::any_io_executor& executor,
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>&& socket) {
  using boost::asio::ip::tcp;
  if (boost::asio::any_io_executor(socket.get_executor()) == executor) {
    return tcp::socket(std::move(socket));
  }
  const tcp protocol = socket.local_endpoint().protocol();
  return tcp::socket(executor, protocol, socket.release());
}

/// How a stream of an application becomes a transport. Adapters specialise it.
template <class Stream>
struct TransportOf;

template <class SocketExecutor>
struct TransportOf<boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>> {
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>;
  static std::unique_ptr<Transport> make(const boost::asio::any_io_executor& executor,
                                         Socket&& socket, const StreamOptions& options) {
    set_options(socket, options.send_buffer_bytes);
    close_on_exec(socket.native_handle());
    return std::make_unique<TcpTransport>(move_to(executor, std::move(socket)));
  }
};

template <class Stream>
std::shared_ptr<Link> make_link(const boost::asio::any_io_executor& executor, Stream&& stream,
                                const StreamOptions& options) {
  return std::make_shared<Link>(
      executor, TransportOf<Stream>::make(executor, std::forward<Stream>(stream), options),
      options);
}

struct ResponseOptions {
  bool is_head = false;
  std::optional<std::chrono::seconds> retry_after = {};
  std::string_view challenge = "Bearer";  ///< Of a 401.
};

/// A complete response with a plain text body; its default is the name of the status.
ROOST_DECL std::string http_response(unsigned status, std::string_view body, unsigned version,
                                     const ResponseOptions& options = {});

/// The answer to a request that is refused: its status, and why.
ROOST_DECL std::string refusal_response(const Refusal& refusal, unsigned version);

/// The answer to a request that asks for no WebSocket.
ROOST_DECL std::string not_an_upgrade_response(
    const boost::beast::http::request<boost::beast::http::empty_body>& request);

/// Sends a whole response and closes once it has arrived.
ROOST_DECL boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response);

/// Reads the head of a request, and gives it the form that `normalise` describes. What followed it
/// stays in the link.
/// @par Errors  `RefusedRequest` and what else Beast reports, after the peer was told.
ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link);

/// A `Link` as Beast wants its next layer, for the upgrade: an asynchronous stream.
class LinkStream {
 public:
  using executor_type = boost::asio::any_io_executor;

  explicit LinkStream(std::shared_ptr<Link> link) : link_(std::move(link)) {}

  [[nodiscard]] executor_type get_executor() const noexcept { return link_->get_executor(); }
  [[nodiscard]] Link& link() const noexcept { return *link_; }

  template <class MutableBuffers, class Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, const std::shared_ptr<Link>& link, const MutableBuffers& b) {
          link->read(b, std::move(handler));
        },
        token, link_, buffers);
  }
  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, const std::shared_ptr<Link>& link, const ConstBuffers& b) {
          link->write(b, std::move(handler));
        },
        token, link_, buffers);
  }

 private:
  std::shared_ptr<Link> link_;
};

// Beast finds it by argument-dependent lookup.
inline void beast_close_socket(LinkStream& stream) { stream.link().abort(); }

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/http/http.ipp"
#endif
