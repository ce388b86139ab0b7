// SPDX-License-Identifier: MIT
// A well-behaved client: Beast's own, with a read always outstanding.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <roost/socket/websocket_like.hpp>
#include <string>
#include <vector>

namespace roost::test {

struct BeastClientOptions {
  std::string subprotocols = {};
  bool compresses = false;
};

class BeastClient {
 public:
  using Response = boost::beast::websocket::response_type;

  /// Connects at once; the handshake follows when @p executor runs.
  BeastClient(const boost::asio::any_io_executor& executor,
              const boost::asio::ip::tcp::endpoint& server, std::string target,
              const BeastClientOptions& options = {});
  BeastClient(BeastClient&&) noexcept = default;
  BeastClient& operator=(BeastClient&&) = delete;
  ~BeastClient();

  void send_text(std::string text);
  void send_bytes(std::string bytes);
  void close(std::uint16_t code, const std::string& reason = {});

  bool is_open() const;
  /// The conversation is over, in whichever way.
  bool is_over() const { return error().failed(); }
  /// Why: `boost::beast::websocket::error::closed` if it was by a close frame.
  const boost::system::error_code& error() const;
  /// Its `close` was answered by the server.
  bool is_answered() const;
  std::uint16_t close_code() const;
  std::string close_reason() const;
  const Response& response() const;

  const std::vector<Message>& messages() const;
  std::vector<std::string> texts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace roost::test
