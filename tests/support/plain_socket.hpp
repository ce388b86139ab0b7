// SPDX-License-Identifier: MIT
// The least that a manager works with. Its functions are virtual, so that a test can have a socket
// that behaves badly without a manager over a type of its own, which would be compiled for it
// alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <roost/roost.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/members.hpp"

namespace roost::test {

class PlainSocket {
 public:
  PlainSocket() = default;
  PlainSocket(const PlainSocket&) = delete;
  PlainSocket& operator=(const PlainSocket&) = delete;
  virtual ~PlainSocket() = default;

  virtual boost::asio::awaitable<void> send_text(std::string_view text) {
    sent.emplace_back(text);
    co_return;
  }
  virtual boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    sent.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    co_return;
  }
  virtual boost::asio::awaitable<void> close(std::uint16_t code) {
    closed.push_back(code);
    co_return;
  }

  std::vector<std::string> sent;
  std::vector<std::uint16_t> closed;
};

static_assert(WebSocketLike<PlainSocket>);
static_assert(!ReceivingWebSocket<PlainSocket>);
static_assert(!TakesFrames<PlainSocket>);
static_assert(!Aborts<PlainSocket>);

}  // namespace roost::test

#if defined(ROOST_SEPARATE_COMPILATION)
// Compiled once, by `instances.cpp`.
namespace roost {
extern template class Connection<test::PlainSocket>;
extern template class ConnectionManager<test::PlainSocket>;
}  // namespace roost
#endif
