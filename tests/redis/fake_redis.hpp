// SPDX-License-Identifier: MIT
// A server that answers as Redis does, but for what a test wants otherwise.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <memory>
#include <roost/redis/connection/codec.hpp>
#include <string>
#include <vector>

namespace roost::test {

struct FakeRedis {
  using tcp = boost::asio::ip::tcp;

  explicit FakeRedis(boost::asio::io_context& its_context) : context(its_context) {
    boost::asio::co_spawn(context, accept(), [](auto&&...) {});
  }

  std::string url() const {
    return "redis://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  }

  boost::asio::io_context& context;
  tcp::acceptor acceptor{context, {boost::asio::ip::address_v4::loopback(), 0}};

  // What it does.
  bool is_silent = false;          ///< Reads, and says nothing.
  bool ignores_subscribe = false;  ///< Does not answer it.
  bool closes_at_publish = false;  ///< The connection, without an answer.
  bool holds_answers = false;      ///< To PUBLISH, until `answer_one`.
  std::string greeting = {};       ///< Sent to everybody who connects.
  std::string answer_to_publish = ":0\r\n";
  std::string ping = "+PONG\r\n";                           ///< What it answers to PING.
  std::string info = {};                                    ///< What it answers to INFO.
  std::string role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";  ///< What it answers to ROLE.

  // What it has seen.
  std::vector<std::string> channels = {};   ///< Of each PUBLISH.
  std::vector<std::string> published = {};  ///< Of each PUBLISH, the text.
  std::size_t connections = 0;
  std::size_t subscriptions = 0;  ///< Commands, not channels.
  std::size_t bytes = 0;          ///< Of commands.

  /// To the publisher that came last.
  void answer_one() { boost::asio::write(*publisher_, boost::asio::buffer(answer_to_publish)); }

 private:
  boost::asio::awaitable<void> accept() {
    for (;;) {
      auto socket =
          std::make_shared<tcp::socket>(co_await acceptor.async_accept(boost::asio::use_awaitable));
      ++connections;
      boost::asio::co_spawn(context, serve(socket), [](auto&&...) {});
    }
  }

  boost::asio::awaitable<void> serve(std::shared_ptr<tcp::socket> socket) {
    using boost::asio::use_awaitable;
    co_await boost::asio::async_write(*socket, boost::asio::buffer(greeting), use_awaitable);
    detail::RedisReader reader({.elements = 1024});
    std::array<char, 4096> buffer;
    for (;;) {
      const std::size_t size =
          co_await socket->async_read_some(boost::asio::buffer(buffer), use_awaitable);
      reader.feed({buffer.data(), size});
      bytes += size;
      std::string answers;
      while (const auto command = reader.next()) {
        const std::string& name = command->elements.at(0).text;
        if (name == "PUBLISH") {
          channels.push_back(command->elements.at(1).text);
          published.push_back(command->elements.at(2).text);
          if (closes_at_publish) co_return socket->close();
          publisher_ = socket;
          if (holds_answers) continue;
        }
        if (name == "SUBSCRIBE") ++subscriptions;
        if (name == "SUBSCRIBE" && ignores_subscribe) continue;
        answers += answer(*command);
      }
      if (is_silent) continue;
      co_await boost::asio::async_write(*socket, boost::asio::buffer(answers), use_awaitable);
    }
  }

  std::string answer(const detail::RedisReply& command) const {
    const std::string& name = command.elements.at(0).text;
    if (name == "PING") return ping;
    if (name == "PUBLISH") return answer_to_publish;
    if (name == "ROLE") return role;
    if (name == "INFO") return "$" + std::to_string(info.size()) + "\r\n" + info + "\r\n";
    if (name != "SUBSCRIBE" && name != "UNSUBSCRIBE") return "+OK\r\n";
    const std::string kind = name == "SUBSCRIBE" ? "$9\r\nsubscribe" : "$11\r\nunsubscribe";
    std::string acknowledged;
    for (std::size_t i = 1; i < command.elements.size(); ++i) {
      const std::string& channel = command.elements[i].text;
      acknowledged += "*3\r\n" + kind + "\r\n$" + std::to_string(channel.size()) + "\r\n" +
                      channel + "\r\n:" + std::to_string(i) + "\r\n";
    }
    return acknowledged;
  }

  std::shared_ptr<tcp::socket> publisher_;
};

}  // namespace roost::test
