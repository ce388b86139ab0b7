// SPDX-License-Identifier: MIT
#include "fuzz/support/conversation.hpp"

#include <roost/beast/beast_websocket.hpp>
#include <roost/beast/listen.hpp>
#include <roost/beast/options.hpp>
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "beast/support/script.hpp"
#include "beast/support/scripted_transport.hpp"
#include "beast/support/wire.hpp"
#include "beast/support/wire_client.hpp"

namespace roost::fuzz {
namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;
using Manager = ConnectionManager<BeastWebSocket>;
using ConnectionPtr = Manager::ConnectionPtr;

class Conversation {
 public:
  explicit Conversation(const Manners& manners) : manners_(manners) {
    context_.emplace();
    manager_.emplace(context_->get_executor(), Manager::Options{.max_message_bytes = 300,
                                                                .outbox_high_water = 10'000,
                                                                .max_outbox_bytes = 100'000,
                                                                .logger = logger(),
                                                                .clock = &clock_});
    manager_->on_disconnect([this](const ConnectionPtr&, const Disconnect& how) {
      seen_.ends.push_back(std::string(to_string(how.reason)) + " " + std::to_string(how.code));
    });
    ListenOptions options{.stream = {.max_message_bytes = 300, .clock = &clock_}};
    if (manners.compresses) options.stream.compression = Compression{.min_bytes = 0};
    listening_ = std::make_shared<detail::Listening>(std::move(options));
    listening_->origins = OriginPolicy::same_host();
    listening_->logger = logger();
    listening_->gate = detail::ManagerAccess::state(*manager_)->gate();
    listening_->handler = [this](Upgrade upgrade) { return serve(std::move(upgrade)); };
  }

  Seen play(std::string_view bytes, Cuts cuts) {
    const auto executor = context_->get_executor();
    auto transport = std::make_unique<test::ScriptedTransport>(executor, script_, 0, wire_);
    detail::begin_serving(
        listening_,
        std::make_shared<detail::Link>(executor, std::move(transport), listening_->options.stream),
        {});
    if (manners_.is_patient) {
      const std::string_view request = bytes.substr(0, bytes.find("\r\n\r\n") + 4);
      client_.send(request);
      settle();
      bytes.remove_prefix(request.size());
    }
    cuts.cut(bytes, [&](std::string_view piece) {
      client_.send(piece);
      settle();
    });
    if (manners_.then == Then::shuts) wire_->shut_client();
    if (manners_.then == Then::resets) client_.vanish();
    settle();
    end();
    const std::string& sent = client_.bytes();
    seen_.response = sent.substr(0, sent.find("\r\n\r\n"));
    return seen_;
  }

 private:
  Logger logger() {
    return [](const LogEvent& event) {
      expect(event.severity != Severity::error, "an error is logged");
    };
  }

  void settle() {
    do testing::run_ready(*context_);
    while (client_.turn());
  }
  void pass_deadlines() {
    for (int i = 0; i < 40; ++i) {
      clock_.advance(500ms);
      settle();
    }
  }

  void end() {
    pass_deadlines();  // of the handshake, and of closing
    const auto closing =
        detail::Child<std::size_t>::start(context_->get_executor(), manager_->close_all());
    settle();
    pass_deadlines();
    const Stats stats = manager_->stats();
    expect(closing->is_done(), "it does not close");
    expect(stats.connections == 0 && stats.rooms == 0, "a connection is left");
    expect(stats.queued_bytes == 0 && stats.blocked == 0, "something is queued");
    expect(seen_.ends.size() == stats.accepted, "not one hook for each connection");
    expect(sessions_ == 0, "a handler is left");
    expect(script_.transports == 0, "a transport is left");
    expect(clock_.armed() == 0, "a timer is left");
    expect(running(*context_) == 0, "something is counted as running");
    expect(client_.is_over(), "the client was forgotten");
    if (!manners_.compresses) expect(client_.error().empty(), "the server broke a rule");
    manager_.reset();
    listening_.reset();
    testing::run_ready(*context_);
    expect(context_->stopped(), "something still runs");
  }

  struct Counted {
    std::size_t& count;
    explicit Counted(std::size_t& c) : count(c) { ++count; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --count; }
  };

  awaitable<void> serve(Upgrade upgrade) {
    const Counted counted(sessions_);
    seen_.requests.push_back(std::string(upgrade.target()) + '|' + std::string(upgrade.path()) +
                             '|' + upgrade.path_after("/ws/").value_or("-") + '|' +
                             upgrade.query("id").value_or("-") + '|' +
                             upgrade.subprotocol_after("token.").value_or("-") + '|' +
                             std::string(upgrade.header("Cookie").value_or("-")) + '|' +
                             std::string(upgrade.header("Origin").value_or("-")));
    if (upgrade.query("reject")) co_return co_await upgrade.reject(403, "no");
    const auto socket = co_await upgrade.accept({.subprotocols = "chat"});
    const auto handler = [this](ConnectionPtr connection) { return handle(std::move(connection)); };
    co_await manager_->session(socket, {.connection_id = "client", .rooms = "lobby"}, handler);
  }

  awaitable<void> handle(ConnectionPtr connection) {
    for (;;) {
      const Message message = co_await manager_->receive(*connection);
      seen_.messages.push_back((message.is_text ? "text " : "bytes ") + message.payload);
      if (!manners_.echoes) continue;
      if (message.is_text) {
        co_await manager_->broadcast_text(message.payload, {.room = "lobby"});
      } else {
        co_await manager_->broadcast_bytes(message.bytes(), {.room = "lobby"});
      }
    }
  }

  const Manners manners_;
  Seen seen_;
  std::size_t sessions_ = 0;
  testing::ManualClock clock_;
  test::Script script_;
  const std::shared_ptr<test::Wire> wire_ = std::make_shared<test::Wire>(1'000'000);
  test::WireClient client_{"client", wire_};
  std::optional<boost::asio::io_context> context_;
  std::optional<Manager> manager_;
  std::shared_ptr<detail::Listening> listening_;
};

}  // namespace

Seen converse(std::string_view bytes, Cuts cuts, const Manners& manners) {
  return Conversation(manners).play(bytes, cuts);
}

}  // namespace roost::fuzz
