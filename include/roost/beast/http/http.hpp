// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/http/handshake.hpp"
#include "roost/beast/transport/link.hpp"

namespace roost::detail {

struct ResponseOptions {
  bool is_head = false;
  std::optional<std::chrono::seconds> retry_after = {};
  std::string_view challenge = "Bearer";  ///< The scheme of a 401.
};

/// The bytes of a response.
ROOST_DECL std::string serialize(
    const boost::beast::http::response<boost::beast::http::string_body>& response);

/// A complete response with a plain text body; by default the body is the name of the status.
ROOST_DECL std::string http_response(unsigned status, std::string_view body, unsigned version,
                                     const ResponseOptions& options = {});

/// The response to a request that is refused: the status and why.
ROOST_DECL std::string refusal_response(const Refusal& refusal, unsigned version);

/// The response to a request that does not ask for a WebSocket.
ROOST_DECL std::string not_an_upgrade_response(
    const boost::beast::http::request<boost::beast::http::empty_body>& request);

/// Queues the bytes of a response.
ROOST_DECL void send_response(Link& link, std::string_view response);

/// Sends a response, and closes the link once the response has arrived.
ROOST_DECL boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response);

/// Reads the head of a request and normalises it with `normalise`. Bytes after the head stay in the
/// link.
/// @par Errors  `RefusedRequest` and other errors of Beast, after the peer was answered.
ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link);

/// A `Link` as a stream for Beast, which performs the upgrade over it.
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
          read(link, b, std::move(handler));
        },
        token, link_, buffers);
  }
  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, const std::shared_ptr<Link>& link, const ConstBuffers& b) {
          write(*link, b, std::move(handler));
        },
        token, link_, buffers);
  }

 private:
  template <class MutableBuffers, class Handler>
  static void read(std::shared_ptr<Link> link, const MutableBuffers& buffers, Handler handler) {
    if (const std::string leftover = link->take_leftover(); !leftover.empty()) {
      const std::size_t n = boost::asio::buffer_copy(buffers, boost::asio::buffer(leftover));
      link->put_back(boost::asio::buffer(leftover) + n);
      return complete(*link, std::move(handler), {}, n);
    }
    if (link->is_down()) return complete(*link, std::move(handler), boost::asio::error::eof, 0);
    Link& source = *link;
    source.receive(boost::asio::buffer_size(buffers),
                   [link = std::move(link), buffers, handler = std::move(handler)](
                       error_code error, std::span<std::byte> data) mutable {
                     boost::asio::buffer_copy(buffers,
                                              boost::asio::buffer(data.data(), data.size()));
                     std::move(handler)(error, data.size());
                   });
  }
  template <class ConstBuffers, class Handler>
  static void write(Link& link, const ConstBuffers& buffers, Handler handler) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    if (link.is_down()) {
      return complete(link, std::move(handler), boost::asio::error::broken_pipe, 0);
    }
    if (size > 0) {
      Frame bytes = Frame::raw(size);
      boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), size), buffers);
      link.try_send(bytes, Outbox::EntryClass::control);
    }
    complete(link, std::move(handler), {}, size);
  }
  template <class Handler>
  static void complete(Link& link, Handler handler, error_code error, std::size_t n) {
    boost::asio::post(link.get_executor(), [handler = std::move(handler), error, n]() mutable {
      std::move(handler)(error, n);
    });
  }

  std::shared_ptr<Link> link_;
};

// Found by Beast through argument-dependent lookup.
inline void beast_close_socket(LinkStream& stream) { stream.link().abort(); }

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/http/http.ipp"
#endif
