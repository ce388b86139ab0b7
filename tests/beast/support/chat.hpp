// SPDX-License-Identifier: MIT
// All that happens in a chat in a day. It takes its course whatever goes wrong: nobody waits for
// what may not come, a step is over when nothing can run any more.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <roost/beast.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "beast/support/chat_server.hpp"
#include "beast/support/frames.hpp"
#include "beast/support/raw_client.hpp"
#include "beast/support/script.hpp"
#include "beast/support/wire_client.hpp"

namespace roost::test {

class Chat {
 public:
  /// What everybody has seen of a run.
  struct Record {
    std::vector<WireClient> clients;
    std::map<std::string, std::vector<std::string>> received;  // by the server, from whom
    ChatServer::ByName outcomes;
    ChatServer::ByName hooks;
    std::vector<std::string> problems;  // invariants that do not hold
    std::vector<Point> calls;
    bool was_hit = false;
    bool goes_on = false;  // on the transport where a call failed
    bool saw_blocked = false;
  };

  /// How many bytes a client that does not read lets the server write.
  static constexpr std::size_t capacity = 200;

  explicit Chat(const Fault& fault = {}) : script_(fault), server_(script_) {}

  /// Plays it all, and tells what has happened.
  Record play() {
    run_scenario();
    if (!script_.is_torn_down()) leave();
    if (script_.is_torn_down()) {
      server_.tear_down(script_.fault().action == Action::tear_down_context);
    } else {
      server_.end();
    }
    return {.clients = {clients_.begin(), clients_.end()},
            .received = server_.received,
            .outcomes = server_.outcomes,
            .hooks = server_.hooks,
            .problems = server_.problems,
            .calls = script_.calls(),
            .was_hit = script_.was_hit(),
            .goes_on = script_.goes_on(),
            .saw_blocked = saw_blocked_};
  }

 private:
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
    step([&] { server_.manager().post_text("server: news"); });

    // A slow peer: first it blocks, then it is congested, then a broadcast waits for it.
    step([&] { carol.stop_reading(); });
    for (const char c : {'1', '2', '3', '4'}) send(alice, text_frame(std::string(100, c)));
    step([&] { saw_blocked_ = server_.manager().stats().blocked == 1; });
    send(carol, client_frame(Opcode::ping, "while it does not read"));
    step([&] { server_.clock.advance(250ms); });
    step([&] { carol.resume_reading(); });
    send(alice, text_frame("back again?"));  // whoever has waited for her goes on

    // One does not ask for a WebSocket, one breaks a rule, one leaves, one is sent away, one
    // vanishes.
    request("dave", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    WireClient& erin = connect("erin");
    send(erin, text_frame(std::string(ChatServer::max_message_bytes + 1, 'e')));
    step([&] { alice.close(1000); });
    step([&] { start(server_.manager().disconnect("bob")); });
    step([&] { carol.stop_reading(); });
    for (const char c : {'1', '2'}) {
      step([&] { server_.manager().post_text("server: " + std::string(150, c)); });
    }
    step([&] { carol.vanish(); });
  }

  /// Conversations that have not ended by now do so by their deadlines, or by `close_all`.
  void leave() {
    for (WireClient& client : clients_) client.resume_reading();
    settle();
    pass_deadlines();
    expect_no_late_write();
    step([&] { start(server_.manager().close_all()); });
    pass_deadlines();
    server_.expect(!script_.is_holding(), "a call outlives every deadline");
    for (const WireClient& client : clients_) {
      server_.expect(client.is_over(), client.name() + " was forgotten");
    }
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
    return request(name, upgrade_request("/?id=" + name, headers).append(behind));
  }
  WireClient& request(const std::string& name, std::string_view bytes) {
    const auto wire = std::make_shared<Wire>(capacity);
    WireClient& client = clients_.emplace_back(name, wire);
    step([&] {
      server_.accept(clients_.size() - 1, wire);
      client.send(bytes);
    });
    return client;
  }
  template <class T>
  void start(awaitable<T> coroutine) {
    detail::Child<T>::start(server_.context().get_executor(), std::move(coroutine));
  }

  /// Runs all that can run, in the server and in the clients.
  void quiesce() {
    boost::asio::io_context& context = server_.context();
    for (bool goes_on = true; goes_on && !script_.is_torn_down();) {
      goes_on = false;
      context.restart();
      if (!tears_down(script_.fault().action)) {
        goes_on = context.poll() > 0;
      } else {  // nothing may run after that call
        while (!script_.is_torn_down() && context.poll_one() > 0) goes_on = true;
      }
      for (WireClient& client : clients_) goes_on |= client.turn();
    }
  }
  /// Runs all that is ready, and then the call that is held, if it is time for it.
  void settle() {
    quiesce();
    const Action action = script_.fault().action;
    if (!script_.is_holding() || action == Action::hold_to_end) return;
    if (action == Action::hold_long) {
      pass_deadlines();
      expect_no_late_write();
    }
    script_.release();
    clients_[script_.fault().at.connection].wire().server_changed.notify_all();
    quiesce();
  }
  /// In small steps, so that each deadline comes in its turn.
  void pass_deadlines() {
    for (int i = 0; i < 12 && !script_.is_torn_down(); ++i) {
      server_.clock.advance(500ms);
      quiesce();
    }
  }

  /// A read may wait as long as the connection is open, all else has a deadline.
  void expect_no_late_write() {
    if (script_.fault().at.io == Io::read) return;
    server_.expect(!script_.is_holding(), "a call outlives its deadline");
  }

  Script script_;
  std::deque<WireClient> clients_;
  ChatServer server_;
  bool saw_blocked_ = false;
};

}  // namespace roost::test
