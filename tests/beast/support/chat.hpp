// SPDX-License-Identifier: MIT
// A chat server and all that happens to it in a day, over wires in memory and on a clock that is
// moved by hand. It takes its course whatever goes wrong; at the end nothing may be left.
#pragma once

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "beast/support/raw_client.hpp"
#include "beast/support/script.hpp"
#include "beast/support/scripted_transport.hpp"
#include "beast/support/wire_client.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"

namespace roost::test {

class Chat {
 public:
  using Manager = ConnectionManager<BeastWebSocket>;
  using ConnectionPtr = Manager::ConnectionPtr;

  /// What everybody has seen of a run.
  struct Record {
    struct Client {
      std::string name;
      std::string bytes;
      std::vector<std::string> lines;
      std::string error;
      std::string end;
    };
    std::vector<Client> clients;
    std::map<std::string, std::vector<std::string>> received;  // by the server, from whom
    std::map<std::string, std::string> outcomes;               // of sessions
    std::map<std::string, std::string> hooks;
    std::vector<Point> calls;
    bool was_hit = false;
    bool saw_congestion = false;
    std::vector<std::string> problems;  ///< Invariants that do not hold.
  };

  /// How many bytes a client that does not read lets the server write.
  static constexpr std::size_t capacity = 200;

  explicit Chat(const Fault& fault = {}) : script_(fault) {
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
                                      .clock = &clock_});
    manager_->on_disconnect([this](ConnectionPtr connection, const Disconnect& how) {
      record_.hooks[connection->id()] += describe(how) + ";";
      hooked_.push_back(std::move(connection));
    });
    listening_ = std::make_shared<detail::Listening>();
    listening_->options.stream = {.handshake_timeout = 3s,
                                  .close_timeout = 2s,
                                  .send_timeout = 2s,
                                  .linger_timeout = 1s,
                                  .max_message_bytes = max_message_bytes,
                                  .clock = &clock_};
    listening_->origins = OriginPolicy::same_host();
    listening_->logger = log_.logger();
    listening_->handler = [this](Upgrade upgrade) { return serve(std::move(upgrade)); };
  }
  Chat(const Chat&) = delete;
  Chat& operator=(const Chat&) = delete;

  /// Plays it all, and tells what has happened.
  Record play() {
    run_scenario();
    if (script_.is_torn_down()) {
      tear_down();
    } else {
      finish();
    }
    for (const WireClient& client : clients_) {
      record_.clients.push_back(
          {client.name(), client.bytes(), client.lines(), client.error(), client.end()});
    }
    record_.calls = script_.calls();
    record_.was_hit = script_.was_hit();
    return std::move(record_);
  }

 private:
  static constexpr std::size_t max_message_bytes = 200;

  // A step brings each connection one frame at most: however the flusher, which looks at the real
  // clock, divides time into bursts, the calls are the same.
  void run_scenario() {
    WireClient& alice = connect("alice");
    WireClient& bob = connect("bob");
    // More at once than the reader of requests takes: the last bytes wait in the link.
    const std::string long_line = "Cookie: " + std::string(340, 'c') + "\r\n";
    WireClient& carol = connect("carol", long_line, text_frame("I do not wait for the answer"));
    send(alice, text_frame("hello"));
    send(bob, client_frame(Opcode::binary, std::string("\0\xFF\x80", 3)));
    send(alice, client_frame(Opcode::ping, "are you there"));
    send(carol, client_frame(Opcode::text, "one ", {.is_final = false}));
    send(carol, client_frame(0, "two"));
    send(bob, text_frame("/join annex"));
    send(carol, text_frame("/join annex"));
    send(bob, text_frame("/annex psst"));
    step([&] { manager_->post_text("server: news"); });

    // A slow peer: first it blocks, then it is congested, then a broadcast waits for it.
    step([&] { carol.stop_reading(); });
    for (int i = 0; i < 4; ++i)
      send(alice, text_frame(std::string(100, static_cast<char>('1' + i))));
    step([&] { record_.saw_congestion = manager_->stats().congested == 1; });
    send(carol, client_frame(Opcode::ping, "while it does not read"));
    step([&] { clock_.advance(250ms); });
    step([&] { carol.resume_reading(); });

    // Those who are no WebSocket, break the rules, leave, are sent away, vanish.
    connect_raw("dave", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    WireClient& erin = connect("erin");
    send(erin, text_frame(std::string(max_message_bytes + 1, 'e')));
    step([&] { alice.close(1000); });
    step([&] { start(manager_->disconnect("bob")); });
    step([&] { carol.stop_reading(); });
    for (int i = 0; i < 2; ++i) {
      step([&] { manager_->post_text("server: " + std::string(150, static_cast<char>('1' + i))); });
    }
    step([&] { carol.vanish(); });
  }

  // --- steps ---

  template <class Act>
  void step(Act act) {
    if (script_.is_torn_down()) return;
    act();
    settle();
  }
  void send(WireClient& client, std::string_view bytes) {
    step([&] { client.send(bytes); });
  }
  WireClient& connect(const std::string& name, std::string_view headers = {},
                      std::string_view behind = {}) {
    return connect_raw(name, upgrade_request("/?id=" + name, headers).append(behind));
  }
  WireClient& connect_raw(const std::string& name, const std::string& request) {
    const auto wire = std::make_shared<Wire>(capacity);
    clients_.emplace_back(name, wire);
    step([&] {
      const auto executor = context_->get_executor();
      auto link = std::make_shared<detail::Link>(
          executor,
          std::make_unique<ScriptedTransport>(executor, script_, clients_.size() - 1, wire),
          listening_->options.stream);
      link->set_deadline(listening_->options.stream.handshake_timeout);
      boost::asio::co_spawn(executor, detail::serve(listening_, std::move(link), {}),
                            [logging = listening_](const std::exception_ptr& error) {
                              detail::report(logging->logger, error);
                            });
      clients_.back().send(request);
    });
    return clients_.back();
  }
  template <class T>
  void start(awaitable<T> coroutine) {
    detail::Child<T>::start(context_->get_executor(), std::move(coroutine));
  }

  /// Runs all that can run, in the server and in the clients.
  void quiesce() {
    for (bool goes_on = true; goes_on && !script_.is_torn_down();) {
      goes_on = false;
      context_->restart();
      if (script_.fault().action != Action::tear_down) {
        goes_on = context_->poll() > 0;
      } else {  // it must not run on after that call
        while (!script_.is_torn_down() && context_->poll_one() > 0) goes_on = true;
      }
      for (WireClient& client : clients_) goes_on |= client.turn();
    }
  }
  /// The same, and then the call that is held, if it is time for it.
  void settle() {
    quiesce();
    const Action action = script_.fault().action;
    if (!script_.is_holding() || action == Action::hold_to_end) return;
    if (action == Action::hold_long) pass_deadlines();
    script_.release();
    clients_[script_.fault().at.connection].wire().server_changed.notify_all();
    quiesce();
  }
  /// In small steps, so that each deadline comes in its turn.
  void pass_deadlines() {
    for (int i = 0; i < 12 && !script_.is_torn_down(); ++i) {
      clock_.advance(500ms);
      quiesce();
    }
  }

  // --- the end ---

  void finish() {
    for (WireClient& client : clients_) client.resume_reading();
    settle();
    pass_deadlines();
    start(manager_->close_all());
    settle();
    pass_deadlines();
    if (script_.is_torn_down()) return tear_down();

    const Stats stats = manager_->stats();
    expect(manager_->total_connections() == 0, "a connection is left");
    expect(manager_->list_rooms().empty(), "a room is left");
    expect(stats.queued_bytes == 0, "bytes are left in the account of the outboxes");
    expect(stats.congested == 0, "a connection is left among those that are watched");
    expect(hooked_.size() == stats.accepted, "not one hook for each connection");
    expect_each_once();
    expect(sessions_ == 0, "a session has not ended");
    expect(handlers_ == 0, "a handler has not ended");
    expect(!script_.is_holding(), "a call outlives every deadline");
    for (const WireClient& client : clients_) expect(client.is_over(), client.name() + " waits");
    expect_nothing_running();
    manager_.reset();
    listening_.reset();
    quiesce();
    expect(context_->stopped(), "something still runs");
    context_.reset();
  }

  void tear_down() {
    manager_.reset();
    listening_.reset();
    context_.reset();
    expect(hooked_.size() <= sessions_started_, "too many hooks");
    expect_each_once();
    expect(sessions_ == 0, "the frame of a session is left");
    expect(handlers_ == 0, "the frame of a handler is left");
    expect_nothing_running();
  }

  void expect_each_once() {
    std::sort(hooked_.begin(), hooked_.end());
    expect(std::adjacent_find(hooked_.begin(), hooked_.end()) == hooked_.end(), "a hook ran twice");
    for (const ConnectionPtr& connection : hooked_) {
      expect(!connection->is_connected(), "a hook before its time");
    }
  }
  void expect_nothing_running() {
    expect(script_.transports == 0, "a transport is left");
    expect(clock_.armed() == 0, "a timer is left");
    for (const Log::Line& line : log_.lines()) {
      expect(line.severity != Severity::error, "in the log: " + line.text);
    }
  }
  void expect(bool holds, const std::string& otherwise) {
    if (!holds) record_.problems.push_back(otherwise);
  }

  // --- the server ---

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
    ++sessions_started_;
    const Counted counted(sessions_);
    const std::string id = upgrade.query("id").value_or("?");
    const auto socket = co_await upgrade.accept();
    const auto handler = [this](ConnectionPtr connection) { return handle(std::move(connection)); };
    const auto outcome =
        co_await manager_->session(socket, {.connection_id = id, .rooms = "lobby"}, handler);
    record_.outcomes[id] += describe(outcome) + ";";
  }

  awaitable<> handle(ConnectionPtr connection) {
    const Counted counted(handlers_);
    const std::string& id = connection->id();
    std::vector<std::string>& received = record_.received[id];
    for (;;) {
      const Message message = co_await manager_->receive(*connection);
      received.push_back((message.is_text ? "text " : "bytes ") + message.payload);
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

  ManualClock clock_;
  Log log_;
  Script script_;
  Record record_;
  std::size_t sessions_started_ = 0;
  std::size_t sessions_ = 0;
  std::size_t handlers_ = 0;
  std::vector<ConnectionPtr> hooked_;
  std::deque<WireClient> clients_;
  std::optional<boost::asio::io_context> context_;
  std::optional<Manager> manager_;
  std::shared_ptr<detail::Listening> listening_;
};

}  // namespace roost::test
