// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <iterator>
#include <stdexcept>

#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/target.hpp"
#include "roost/beast/transport/link.hpp"

namespace roost::detail {

/// The refusal of a request with a header field whose name or value is longer than the 65,533 bytes
/// that Beast can store, however large `max_header_bytes` is.
inline Refusal field_refusal() {
  return {.status = 431,
          .error = boost::beast::http::error::buffer_overflow,
          .why = "a header field has too many bytes"};
}

/// Checks a request for a size above a limit, and a request for a WebSocket for a body.
inline std::optional<Refusal> refusal_of(
    boost::beast::http::request_parser<boost::beast::http::empty_body>& parser,
    const StreamOptions& options) {
  namespace http = boost::beast::http;
  auto& request = parser.get();
  const auto fields = static_cast<std::size_t>(std::distance(request.begin(), request.end()));
  if (request.target().size() > options.max_target_bytes) {
    return Refusal{.status = 414,
                   .error = http::error::header_limit,
                   .why = "the request target has too many bytes",
                   .unit = "bytes",
                   .size = request.target().size(),
                   .limit = options.max_target_bytes};
  }
  if (fields > options.max_header_fields) {
    return Refusal{.status = 431,
                   .error = http::error::header_limit,
                   .why = "the request has too many header fields",
                   .unit = "fields",
                   .size = fields,
                   .limit = options.max_header_fields};
  }
  try {
    if (auto refusal = normalise(request)) return refusal;
  } catch (const std::length_error&) {
    return field_refusal();  // lines that were joined
  }
  // The bytes of a body would be taken for frames.
  const bool has_body = header_value(request, http::field::transfer_encoding) ||
                        parser.content_length().value_or(0) > 0;
  if (has_body && asks_for_websocket(request)) {
    return Refusal{.status = 400,
                   .error = http::error::unexpected_body,
                   .why = "a request for a WebSocket must not have a body"};
  }
  return std::nullopt;
}

/// Why the head of a request could not be read; `nullopt` if the peer has left.
/// @param bytes  how many bytes of the head have arrived
inline std::optional<Refusal> refusal_of(error_code error, std::size_t bytes,
                                         const StreamOptions& options) {
  namespace http = boost::beast::http;
  if (error == http::error::buffer_overflow) return field_refusal();
  if (error == http::error::header_limit) {
    return Refusal{.status = 431,
                   .error = error,
                   .why = "the head of the request has too many bytes",
                   .unit = "bytes",
                   .size = bytes,
                   .limit = options.max_header_bytes};
  }
  const bool is_malformed = error.category() == make_error_code(http::error::bad_method).category();
  if (!is_malformed || error == http::error::end_of_stream ||
      error == http::error::partial_message) {
    return std::nullopt;
  }
  return Refusal{.status = 400, .error = error, .why = error.message()};
}

/// Ends a link whose TLS handshake has failed.
[[noreturn]] inline void fail_handshake(Link& link, error_code error) {
  link.end();
  throw boost::system::system_error(error, "the TLS handshake");
}

/// Reads the head of a request from a link, and parses it as its bytes arrive. Bytes after the head
/// stay in the link. Keep it out of the frames of coroutines: Asio reuses that memory for
/// coroutines that live as long as the connection.
class HeadReader {
 public:
  explicit HeadReader(Link& link) : link_(link) {
    parser.header_limit(static_cast<std::uint32_t>(link.options().max_header_bytes));
  }

  boost::beast::http::request_parser<boost::beast::http::empty_body> parser;

  [[nodiscard]] bool is_done() const noexcept { return error_ || parser.is_header_done(); }

  /// Takes the bytes that were read before.
  void take_leftover() {
    const std::string leftover = link_.take_leftover();
    if (!leftover.empty()) take({}, std::as_bytes(std::span(leftover)));
    if (!is_done() && link_.is_down()) take(boost::asio::error::eof, {});
  }
  /// Reads once, and takes the bytes; then calls @p f, which must own the owners of the link and of
  /// this.
  template <class F>
  void read(F f) {
    constexpr std::size_t usual = 16'384;
    link_.receive(usual,
                  [this, f = std::move(f)](error_code error, std::span<std::byte> bytes) mutable {
                    take(error, bytes);
                    std::move(f)();
                  });
  }
  /// Does what `read` with a function does, for a coroutine that awaits the result.
  [[nodiscard]] auto read() {
    return boost::asio::async_initiate<const boost::asio::deferred_t, void()>(
        [](auto handler, HeadReader* self) { self->read(std::move(handler)); },
        boost::asio::deferred, this);
  }
  /// Decides what becomes of the request: it is refused, or valid.
  /// @par Errors  those of Beast, if the peer has left; `errc::timed_out`.
  /// @pre `is_done()`
  [[nodiscard]] std::optional<Refusal> judge() {
    if (!error_) return refusal_of(parser, link_.options());
    if (link_.is_down() && error_ != boost::beast::http::error::end_of_stream) {
      throw Error(errc::timed_out, "the handshake");
    }
    auto refusal = refusal_of(error_, received_, link_.options());
    if (refusal) return refusal;
    link_.end();
    throw boost::system::system_error(error_, "reading the upgrade request");
  }

 private:
  void take(error_code error, std::span<const std::byte> bytes) {
    received_ += bytes.size();
    if (error == boost::asio::error::eof) {
      error_ = boost::beast::http::error::end_of_stream;
      if (!parser.got_some()) return;
      error_ = {};
      parser.put_eof(error_);
    } else if (error) {
      error_ = error;
    } else if (begun_.empty()) {
      parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    } else {
      begun_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      parse(std::exchange(begun_, {}));
    }
  }
  void parse(std::string_view bytes) {
    try {
      bytes.remove_prefix(parser.put(boost::asio::buffer(bytes), error_));
    } catch (const std::length_error&) {
      error_ = boost::beast::http::error::buffer_overflow;
    }
    if (error_ == boost::beast::http::error::need_more) error_ = {};
    if (is_done()) {
      link_.put_back(boost::asio::buffer(bytes));
    } else {
      begun_ = bytes;
    }
  }

  Link& link_;
  error_code error_;
  std::string begun_;  // the beginning of a line
  std::size_t received_ = 0;
};

}  // namespace roost::detail
