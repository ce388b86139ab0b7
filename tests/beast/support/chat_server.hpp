// SPDX-License-Identifier: MIT
// A chat server on scripted transports and on a clock that is moved by hand. At its end it knows
// what is left of it that must not be.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/script.hpp"
#include "beast/support/scripted_transport.hpp"
#include "beast/support/wire.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"

namespace roost::test {

class ChatServer {
 public:
  using Manager = ConnectionManager<BeastWebSocket>;
  using ConnectionPtr = Manager::ConnectionPtr;
  using ByName = std::map<std::string, std::string>;

  static constexpr std::size_t max_message_bytes = 200;

  ManualClock clock;
  std::map<std::string, std::vector<std::string>> received;  // from whom
  ByName outcomes;                                           // of sessions
  ByName hooks;
  std::vector<std::string> problems;  // invariants that do not hold

  explicit ChatServer(Script& script) : script_(script) {
    context_.emplace();
    manager_.emplace(context_->get_executor(),
                     Manager::Options{.send_timeout = 2s,
                                      .backpressure_wait = 250ms,
                                      .max_message_bytes = max_message_bytes,
                                      .outbox_high_water = 120,
                                      .max_outbox_bytes = 20'000,
                                      .logger = log_.logger(),
                                      .close_timeout = 2s,
                                      .handler_grace = 2s,
                                      .clock = &clock});
    manager_->on_disconnect([this](ConnectionPtr connection, const Disconnect& how) {
      hooks[connection->id()] += describe(how) + ";";
      hooked_.push_back(std::move(connection));
    });
    listening_ = std::make_shared<detail::Listening>();
    listening_->options.stream = {.handshake_timeout = 3s,
                                  .close_timeout = 2s,
                                  .send_timeout = 2s,
                                  .linger_timeout = 1s,
                                  .max_message_bytes = max_message_bytes,
                                  .clock = &clock};
    listening_->origins = OriginPolicy::same_host();
    listening_->logger = log_.logger();
    listening_->gate = detail::ManagerAccess::state(*manager_)->gate();
    listening_->handler = [this](Upgrade upgrade) { return serve(std::move(upgrade)); };
  }
  ChatServer(const ChatServer&) = delete;
  ChatServer& operator=(const ChatServer&) = delete;

  boost::asio::io_context& context() { return *context_; }
  Manager& manager() { return *manager_; }

  /// What `listen` does with a socket that it has accepted.
  void accept(std::size_t number, std::shared_ptr<Wire> wire) {
    const auto executor = context_->get_executor();
    auto link = std::make_shared<detail::Link>(
        executor, std::make_unique<ScriptedTransport>(executor, script_, number, std::move(wire)),
        listening_->options.stream);
    detail::begin_serving(listening_, link, {});
  }

  void expect(bool holds, const std::string& otherwise) {
    if (!holds) problems.push_back(otherwise);
  }

  /// All connections have had the time to end: nothing may be left, and nothing run.
  void end() {
    const Stats stats = manager_->stats();
    expect(manager_->total_connections() == 0, "a connection is left");
    expect(manager_->list_rooms().empty(), "a room is left");
    expect(stats.queued_bytes == 0, "bytes are left in the account of the outboxes");
    expect(stats.blocked == 0, "a connection is left among those that are watched");
    expect(hooked_.size() == stats.accepted, "not one hook for each connection");
    expect_nothing_left();
    expect(running(*context_) == 0, "something is still counted as running");
    manager_.reset();
    listening_.reset();
    testing::run_ready(*context_);
    expect(context_->stopped(), "something still runs");
    context_.reset();
  }

  /// In the midst of it all.
  void tear_down(bool context_first) {
    if (context_first) context_.reset();
    manager_.reset();
    listening_.reset();
    context_.reset();
    expect_nothing_left();
  }

 private:
  void expect_nothing_left() {
    expect(sessions_ == 0, "a session is left");
    expect(handlers_ == 0, "a handler is left");
    expect(script_.transports == 0, "a transport is left");
    expect(clock.armed() == 0, "a timer is left");
    for (const ConnectionPtr& connection : connections_) {
      expect(!connection->is_connected(), "one believes to be connected");
    }
    std::sort(hooked_.begin(), hooked_.end());
    expect(std::adjacent_find(hooked_.begin(), hooked_.end()) == hooked_.end(), "a hook ran twice");
    for (const Log::Line& line : log_.lines()) {
      expect(line.severity != Severity::error, "in the log: " + line.text);
    }
  }

  struct Counted {
    std::size_t& count;
    explicit Counted(std::size_t& c) : count(c) { ++count; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --count; }
  };

  static std::string describe(const Disconnect& how) {
    return std::string(to_string(how.reason)) + " " + std::to_string(how.code) + " " + how.text;
  }

  awaitable<> serve(Upgrade upgrade) {
    const Counted counted(sessions_);
    const std::string id = upgrade.query("id").value_or("?");
    const auto socket = co_await upgrade.accept();
    const auto handler = [this](ConnectionPtr connection) { return handle(std::move(connection)); };
    const auto outcome =
        co_await manager_->session(socket, {.connection_id = id, .rooms = "lobby"}, handler);
    outcomes[id] += describe(outcome) + ";";
  }

  awaitable<> handle(ConnectionPtr connection) {
    const Counted counted(handlers_);
    connections_.push_back(connection);
    const std::string& id = connection->id();
    for (;;) {
      const Message message = co_await manager_->receive(*connection);
      received[id].push_back((message.is_text ? "text " : "bytes ") + message.payload);
      const std::string line = id + ": " + message.payload;
      if (!message.is_text) {
        co_await manager_->broadcast_bytes(std::as_bytes(std::span(line)));
      } else if (message.payload == "/join annex") {
        co_await manager_->join(id, "annex");
      } else if (message.payload.starts_with("/annex")) {
        co_await manager_->broadcast_text(line, {.room = "annex"});
      } else {
        co_await manager_->broadcast_text(line, {.room = "lobby", .exclude = {id}});
      }
    }
  }

  Script& script_;
  Log log_;
  std::size_t sessions_ = 0;
  std::size_t handlers_ = 0;
  std::vector<ConnectionPtr> connections_;
  std::vector<ConnectionPtr> hooked_;
  std::optional<boost::asio::io_context> context_;
  std::optional<Manager> manager_;
  std::shared_ptr<detail::Listening> listening_;
};

}  // namespace roost::test
