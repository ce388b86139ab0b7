// SPDX-License-Identifier: MIT
// A whole server on 127.0.0.1 and its clients, in one io_context. At its end it checks that
// nothing is left. Sockets are real, time is not: only `pass` moves it.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "beast/support/beast_client.hpp"
#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "support/bench.hpp"

namespace roost::test {

using tcp = boost::asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
using ConnectionPtr = Manager::ConnectionPtr;
using testing::run_until;

/// The header of a page's request.
inline std::string origin(std::string_view value) {
  return std::string("Origin: ").append(value).append("\r\n");
}

inline tcp::endpoint any_port() { return {boost::asio::ip::address_v4::loopback(), 0}; }

struct ServerOptions {
  Manager::Options manager = {};
  ListenOptions listen = {};
};

class Server {
 public:
  struct Ended {
    std::string id;
    Disconnect how;
  };

  ManualClock clock;
  Log log;
  boost::asio::io_context context;

 private:
  std::optional<Manager> manager_;
  std::optional<Listener> listener_;

 public:
  Manager& manager;

  /// What is done with an upgrade; by default it is accepted, with the id and the room that the
  /// query names, and handed to `handler` in a session.
  std::function<awaitable<>(Upgrade)> on_upgrade = [this](Upgrade upgrade) {
    return serve(std::move(upgrade));
  };
  /// What is done with a connection; by default it gets back what it sends.
  std::function<awaitable<>(ConnectionPtr)> handler = [this](ConnectionPtr connection) {
    return echo(std::move(connection));
  };

  // What happened, in order.
  std::vector<Ended> hooks;
  std::vector<SessionOutcome> outcomes;
  std::vector<std::string> failures;  // of sessions
  std::size_t upgrades = 0;

  explicit Server(ServerOptions options = {})
      : manager_(std::in_place, context.get_executor(), complete(std::move(options.manager))),
        manager(*manager_) {
    options.listen.stream.clock = &clock;
    listener_ =
        roost::listen(manager, any_port(), std::move(options.listen), [this](Upgrade upgrade) {
          ++upgrades;
          return on_upgrade(std::move(upgrade));
        });
    manager.on_disconnect([this](ConnectionPtr connection, const Disconnect& how) {
      hooks.push_back({connection->id(), how});
      seen_.push_back(std::move(connection));
    });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  ~Server() {
    if (std::uncaught_exceptions() > 0) return;
    listener_->stop();
    const auto closing =
        detail::Child<std::size_t>::start(context.get_executor(), manager.close_all());
    bool is_closed = false;
    try {
      run_until(context, [&] { return closing->is_done() && is_quiet() && running(context) == 0; });
      is_closed = true;
    } catch (const std::exception&) {
    }
    CHECK(is_closed);  // nothing waits for ever, nobody needs more time
    CHECK(manager.total_connections() == 0);
    CHECK(manager.list_rooms().empty());
    CHECK(manager.stats().queued_bytes == 0);
    CHECK(manager.stats().blocked == 0);
    CHECK(hooks.size() == manager.stats().accepted);
    std::sort(seen_.begin(), seen_.end());
    CHECK(std::adjacent_find(seen_.begin(), seen_.end()) == seen_.end());  // once each
    CHECK(sessions_ == outcomes.size() + failures.size());
    manager_.reset();
    listener_.reset();
    testing::run_ready(context);
    CHECK(context.stopped());  // no coroutine, no operation, no timer
    CHECK(clock.armed() == 0);
  }

  Listener& listener() { return *listener_; }
  const tcp::endpoint& endpoint() const { return listener_->local_endpoint(); }

  // --- clients ---

  RawClient connect(const RawClientOptions& options = {}) { return {context, endpoint(), options}; }
  /// A client that has sent the request for a WebSocket.
  RawClient request(std::string_view target, std::string_view headers = {},
                    const RawClientOptions& options = {}) {
    RawClient client = connect(options);
    client.send(upgrade_request(target, headers));
    return client;
  }
  /// A member of "lobby" whose handler runs.
  RawClient join(const std::string& id, const RawClientOptions& options = {},
                 std::string_view headers = {}) {
    RawClient client = request("/?room=lobby&id=" + id, headers, options);
    until([&] { return client.is_upgraded() && manager.find(id) != nullptr; });
    return client;
  }
  BeastClient beast_client(std::string target = "/", const BeastClientOptions& options = {}) {
    return {context.get_executor(), endpoint(), std::move(target), options};
  }
  BeastClient join_by_beast(const std::string& id, const BeastClientOptions& options = {}) {
    BeastClient client = beast_client("/?room=lobby&id=" + id, options);
    until([&] { return client.is_open() && manager.find(id) != nullptr; });
    return client;
  }

  // --- progress ---

  template <class Predicate>
  void until(Predicate predicate) {
    run_until(context, std::move(predicate));
  }
  template <class T>
  std::shared_ptr<detail::Child<T>> start(awaitable<T> coroutine) {
    return detail::Child<T>::start(context.get_executor(), std::move(coroutine));
  }
  template <class T>
  T run(awaitable<T> coroutine) {
    const auto child = start(std::move(coroutine));
    until([&] { return child->is_done(); });
    return child->take();
  }
  void settle() { testing::run_ready(context); }
  void pass(Clock::duration time) {
    settle();
    clock.advance(time);
    settle();
  }
  /// Lets the loop turn until messages have gone to and fro between a new client and the server.
  void let_others_work() {
    RawClient client = connect();
    client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    until([&] { return client.is_gone(); });
    settle();
  }
  std::size_t ended_by(DisconnectReason reason) const {
    return static_cast<std::size_t>(std::count_if(
        hooks.begin(), hooks.end(), [&](const Ended& e) { return e.how.reason == reason; }));
  }

  // --- what handlers do ---

  awaitable<> serve(Upgrade upgrade) {
    const std::optional<std::string> id = upgrade.query("id");
    const std::optional<std::string> room = upgrade.query("room");
    std::vector<std::string> rooms;
    if (room) rooms.push_back(*room);
    std::shared_ptr<BeastWebSocket> socket = co_await upgrade.accept();
    ConnectOptions options{.rooms = rooms};
    if (id) options.connection_id = *id;
    const auto body = [this](ConnectionPtr connection) { return handler(std::move(connection)); };
    ++sessions_;
    try {
      outcomes.push_back(co_await manager.session(std::move(socket), options, body));
    } catch (const std::exception& error) {
      failures.emplace_back(error.what());
    }
  }

  awaitable<> echo(ConnectionPtr connection) {
    for (;;) {
      const Message message = co_await manager.receive(*connection);
      if (message.is_text) {
        co_await connection->send_text(message.text());
      } else {
        co_await connection->send_bytes(message.bytes());
      }
    }
  }
  /// Takes what comes, and keeps quiet.
  awaitable<> swallow(ConnectionPtr connection) {
    for (;;) co_await manager.receive(*connection);
  }

 private:
  Manager::Options complete(Manager::Options options) {
    options.clock = &clock;
    options.logger = log.logger();
    return options;
  }
  bool is_quiet() const {
    return hooks.size() == manager.stats().accepted &&
           sessions_ == outcomes.size() + failures.size();
  }

  std::vector<ConnectionPtr> seen_;
  std::size_t sessions_ = 0;
};

/// A handler that never receives.
inline std::function<awaitable<>(ConnectionPtr)> pushing_only() {
  return [](ConnectionPtr) { return wait_for_ever(); };
}

}  // namespace roost::test
