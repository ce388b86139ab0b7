// SPDX-License-Identifier: MIT
// A manager, its sockets, and an application that does whatever the input says.
#pragma once

#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {

using namespace std::chrono_literals;

template <class Ws>
class World {
 public:
  using Manager = ConnectionManager<Ws>;
  using ConnectionPtr = typename Manager::ConnectionPtr;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  explicit World(Input& input) : input_(input) {
    const unsigned choice = input.byte();
    context_.emplace();
    typename Manager::Options options{.backpressure_wait = (choice & 1U) != 0 ? 250ms : 0ms,
                                      .max_connections = 6,
                                      .max_message_bytes = 100,
                                      .outbox_high_water = 100,
                                      .max_outbox_bytes = 600,
                                      .max_total_outbox_bytes = 4'000,
                                      .max_rooms_per_connection = 3,
                                      .max_room_members = 4,
                                      .logger = logger(),
                                      .clock = &clock_};
    if ((choice & 2U) != 0) {
      options.room_validator = [this](std::string_view room, Connection<Ws>&) {
        return pause(room != "d");
      };
    }
    if ((choice & 4U) != 0)
      options.on_connect = [this](Ws&, nlohmann::json&) { return pause(true); };
    manager_.emplace(context_->get_executor(), std::move(options));
    are_hooks_late_ = (choice & 8U) != 0;
    add_hooks();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void play() {
    for (int steps = 0; steps < 200 && !input_.empty(); ++steps) {
      step();
      if (!input_.flag()) continue;  // more at once
      settle();
      check();
    }
    end();
  }

 private:
  struct Known {
    std::set<std::string, std::less<>> rooms;
    bool is_over = false;
  };

  static Logger logger() {
    return [](const LogEvent& event) {
      expect(event.severity != Severity::error || event.event == "handler_failed",
             "an error is logged");  // a handler fails when it is told to
    };
  }

  // --- what the application is told ---

  void add_hooks() {
    manager_->on_connected([this](const ConnectionPtr& connection) {
      expect(known_.emplace(connection, Known()).second, "connected twice");
      return pause();
    });
    manager_->on_joined([this](const ConnectionPtr& connection, std::string_view room) {
      Known& known = find(connection);
      expect(!known.is_over && known.rooms.emplace(room).second, "joined twice");
      return pause();
    });
    manager_->on_left([this](const ConnectionPtr& connection, std::string_view room) {
      expect(find(connection).rooms.erase(std::string(room)) == 1, "left without being there");
      return pause();
    });
    manager_->on_disconnect([this](const ConnectionPtr& connection, const Disconnect& how) {
      Known& known = find(connection);
      expect(!std::exchange(known.is_over, true), "disconnected twice");
      expect(known.rooms.empty(), "it ended without leaving its rooms");
      expect(!connection->is_connected() && connection->ended()->reason == how.reason,
             "the end is another");
      return pause();
    });
  }
  Known& find(const ConnectionPtr& connection) {
    const auto found = known_.find(connection);
    expect(found != known_.end(), "told before it was connected");
    return found->second;
  }
  /// As long as it takes.
  awaitable<bool> pause(bool answer) {
    co_await pause();
    co_return answer;
  }
  awaitable<void> pause() {
    if (!are_hooks_late_) co_return;
    const auto executor = co_await boost::asio::this_coro::executor;
    co_await detail::wait(hooks_may_go_on_, executor, clock_, clock_.now() + 1s);
  }

  // --- what the application does ---

  std::string id() { return std::string(1, static_cast<char>('1' + input_.below(7))); }
  std::string room() { return std::string(1, static_cast<char>('a' + input_.below(5))); }
  std::vector<std::string> rooms() {
    std::vector<std::string> rooms;
    for (std::size_t n = input_.below(4); n > 0; --n) rooms.push_back(room());
    return rooms;
  }
  Ws* socket() {
    return sockets_.empty() ? nullptr : sockets_[input_.below(sockets_.size())].get();
  }
  std::optional<Overflow> overflow() {
    const std::size_t n = input_.below(4);
    return n == 3 ? std::nullopt : std::optional(static_cast<Overflow>(n));
  }
  /// Numbered, and of a kind whose order can be seen.
  std::string message(const char* kind) {
    std::string text = std::to_string(++last_message_) + ' ' + kind + ' ';
    return text.append(input_.below(90), '.');
  }

  template <class T>
  void start(awaitable<T> operation) {
    tasks_.push_back([child = detail::Child<T>::start(
                          context_->get_executor(), guarded(std::move(operation)))](bool cancels) {
      if (cancels) child->cancel();
      return child->is_done();
    });
  }
  // Catches the errors that an operation may throw; anything else escapes from `take`.
  template <class T>
  static awaitable<T> guarded(awaitable<T> operation) {
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(operation);
        co_return;
      } else {
        co_return co_await std::move(operation);
      }
    } catch (const boost::system::system_error&) {
    }
    if constexpr (!std::is_void_v<T>) co_return T();
  }
  /// What is refused at the call.
  template <class Action>
  void attempt(Action action) {
    try {
      action();
    } catch (const Error& error) {
      expect(error.code() == errc::too_many_rooms, "refused at the call");
    }
  }

  void step() {
    switch (input_.below(18)) {
      case 0:
      case 1: return connect(false);
      case 2: return connect(true);
      case 3: return start(manager_->join(id(), room()));
      case 4: return start(manager_->leave(id(), room()));
      case 5:
      case 6:
      case 7: return broadcast();
      case 8: return send();
      case 9: return start(manager_->disconnect(id()));
      case 10:
        if (input_.below(8) == 0) start(manager_->close_all());
        return;
      case 11:
        if (input_.below(16) == 0) start(manager_->drain({.deadline = 5s}));
        return;
      case 12:
      case 13:
        if (Ws* ws = socket()) behave(*ws);
        return;
      case 14: return pass(10ms * (1 + input_.below(40)));
      case 15: return pass(1s * input_.below(8));
      case 16:
        if (!tasks_.empty()) tasks_[input_.below(tasks_.size())](true);
        return;
      default: hooks_may_go_on_.notify_all();
    }
  }

  void connect(bool in_session) {
    auto ws = make_socket();
    sockets_.push_back(ws);
    const std::string name = id();
    const std::vector<std::string> in = rooms();
    const ConnectOptions options{
        .connection_id = name,
        .rooms = in,
        .on_duplicate = input_.flag() ? OnDuplicate::replace : OnDuplicate::refuse,
        .overflow = overflow().value_or(Overflow::close)};
    attempt([&] {
      if (!in_session) return start(manager_->connect(ws, options));
      const auto handler = [this](ConnectionPtr connection) { return handle(connection); };
      start(manager_->session(ws, options, handler));
    });
  }
  std::shared_ptr<Ws> make_socket() {
    if constexpr (std::constructible_from<Ws, Clock&>) {
      return std::make_shared<Ws>(clock_);
    } else {
      return std::make_shared<Ws>();
    }
  }

  /// Echoes, and ends or fails when it is told to.
  awaitable<void> handle(ConnectionPtr connection) {
    if constexpr (ReceivingWebSocket<Ws>) {
      for (bool goes_on = true; goes_on;) {
        const Message got = co_await manager_->receive(*connection);
        if (got.payload == "throw") throw Error(errc::invalid_json);
        goes_on = got.payload != "return";
        const std::string text = std::to_string(++last_message_) + " - ";
        co_await connection->send_text(text);
      }
    } else {
      const auto executor = co_await boost::asio::this_coro::executor;
      co_await detail::wait(hooks_may_go_on_, executor, clock_, clock_.now() + 2s);
    }
  }

  void broadcast() {
    const std::string in = room();
    const std::vector<std::string> union_of = rooms();
    const std::string but = id();
    BroadcastOptions options;
    switch (input_.below(3)) {
      case 0: options.room = in; break;
      case 1: options.rooms = union_of; break;
      default: break;
    }
    if (input_.flag()) options.exclude = but;
    options.overflow = overflow();
    if (input_.flag() && options.overflow != Overflow::close) options.key = "k";
    if (input_.flag()) {
      const std::string text = message(options.key ? "keyed" : "post");
      return manager_->post_text(text, options);
    }
    const std::string text = message("-");
    options.report = &reports_.emplace_back();
    start(manager_->broadcast_text(text, options));
  }

  void send() {
    SendOptions options{.overflow = overflow(), .report = &reports_.emplace_back()};
    if (input_.flag() && options.overflow != Overflow::close) options.key = "k";
    const std::string text = message("-");
    start(manager_->send_to(id(), text, options));
  }

  // --- what peers and networks do ---

  void behave(Ws& ws) {
    const std::size_t how = input_.below(6);
    if constexpr (requires { ws.drain_all(); }) {
      if (how == 0) ws.stall();
      if (how == 1) ws.drain(1 + input_.byte());
      if (how == 2) ws.drain_all();
      if (how == 3) ws.start_writing();
      if (how == 4 && !ws.ended()) ws.peer_closes(1000);
    } else {
      if (how == 0) ws.stall_sends();
      if (how == 1) ws.resume_sends();
      if (how == 2) ws.fail_sends();
      if (how == 3) ws.peer_sends(input_.flag() ? "throw" : input_.flag() ? "return" : "hello");
      if (how == 4) ws.peer_vanishes();
      if (how == 5) ws.stall_close();
    }
  }

  void settle() { testing::run_ready(*context_); }
  void pass(Clock::duration time) {
    clock_.advance(time);
    settle();
  }

  // --- what must hold ---

  void check() const {
    const Stats stats = manager_->stats();
    std::size_t over = 0;
    for (const auto count : stats.ended) over += count;
    expect(stats.connections == manager_->total_connections(), "connections are miscounted");
    expect(stats.accepted == stats.connections + over, "who was let in is neither here nor gone");
    std::size_t here = 0;
    for (const auto& [connection, known] : known_) {
      const bool is_here = connection->is_connected();
      here += is_here ? 1 : 0;
      expect(is_here == (manager_->find(connection->id()) == connection), "a stranger is found");
      expect(is_here || !is_in_a_room(connection), "a room has a member that is gone");
      if (!are_hooks_late_) expect(is_here == !known.is_over, "a hook is missing");
    }
    if (!are_hooks_late_) expect(here == stats.connections, "somebody is not known");
    check_rooms();
    check_order();
  }
  bool is_in_a_room(const ConnectionPtr& connection) const {
    for (const std::string& room : manager_->list_rooms()) {
      for (const ConnectionPtr& member : manager_->members(room)) {
        if (member == connection) return true;
      }
    }
    return false;
  }
  void check_rooms() const {
    for (const std::string& room : manager_->list_rooms()) {
      const auto members = manager_->members(room);
      expect(!members.empty() && members.size() <= 4, "a room is empty, or too full");
      expect(members.size() == manager_->room_size(room), "members are miscounted");
      for (const ConnectionPtr& member : members) {
        expect(member->is_connected() && member->is_in(room), "a member that is not there");
        expect(member->rooms().size() <= 3, "too many rooms");
      }
    }
  }
  /// Nobody gets anything twice, and what was posted comes in its order: but for what has a key,
  /// which takes the place of another and keeps an order of its own.
  void check_order() const {
    for (const auto& ws : sockets_) {
      std::size_t last_post = 0, last_keyed = 0;
      std::set<std::size_t> all;
      for (const std::string& text : texts(*ws)) {
        const std::size_t number = std::stoul(text);
        expect(all.insert(number).second, "a message came twice");
        if (text.find(" post ") != text.npos) {
          expect(number > std::exchange(last_post, number), "posts came in another order");
        }
        if (text.find(" keyed ") != text.npos) {
          expect(number > std::exchange(last_keyed, number), "of a key an older one came later");
        }
      }
    }
  }
  static std::vector<std::string> texts(const Ws& ws) {
    if constexpr (requires { ws.texts; }) {
      return ws.texts;
    } else {
      return ws.sent_texts();
    }
  }

  void end() {
    for (int again = 0; again < 2; ++again) {  // who was being admitted is let in after the first
      start(manager_->close_all());
      settle();
      for (int i = 0; i < 100 && clock_.armed() > 0; ++i) pass(1s);
      for (int i = 0; i < 4 && clock_.armed() > 0; ++i) pass(24h);
    }
    check();
    for (const auto& is_done : tasks_) expect(is_done(false), "an operation does not end");
    for (const auto& [connection, known] : known_) {
      expect(!connection->is_connected(), "somebody is still connected");
      expect(known.is_over, "nobody was told");
    }
    sockets_.clear();  // those that were stalled have their frames still
    const Stats stats = manager_->stats();
    expect(known_.size() == stats.accepted, "not one hook for each connection");
    expect(stats.connections == 0 && stats.rooms == 0, "a connection is left");
    expect(stats.queued_bytes == 0 && stats.outbox_memory == 0, "something is queued");
    expect(stats.blocked == 0, "somebody is blocked");
    expect(clock_.armed() == 0, "a timer is left");
    expect(running(*context_) == 0, "something is counted as running");
    manager_.reset();
    settle();
    expect(context_->stopped(), "something still runs");
  }

  Input& input_;
  testing::ManualClock clock_;
  detail::WaitList hooks_may_go_on_;
  bool are_hooks_late_ = false;
  std::size_t last_message_ = 0;
  std::deque<SendReport> reports_;
  std::vector<std::shared_ptr<Ws>> sockets_;
  std::map<ConnectionPtr, Known> known_;
  std::optional<boost::asio::io_context> context_;
  std::optional<Manager> manager_;
  std::vector<std::function<bool(bool)>> tasks_;
};

}  // namespace roost::fuzz
