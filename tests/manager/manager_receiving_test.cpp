// SPDX-License-Identifier: MIT
// Receiving: kinds, limits, and who may.
#include <roost/roost.hpp>

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using Reason = DisconnectReason;
using Strings = std::vector<std::string>;

struct Alice : FakeBench {
  std::shared_ptr<FakeWebSocket> socket = connect("alice", {"lobby"});
  FakeBench::ConnectionPtr alice = manager.find("alice");

  explicit Alice(Options options = {}) : FakeBench(std::move(options)) {}

  template <class Action>
  errc error_of_run(Action action) {
    const errc code = error_of([&] { run(action()); });
    settle();
    return code;
  }
  void check_closed(std::uint16_t code, Reason reason) {
    CHECK(socket->close_code() == code);
    REQUIRE(alice->ended());
    CHECK(alice->ended()->reason == reason);
    CHECK(manager.total_connections() == 0);
    CHECK(manager.list_rooms().empty());
  }
};

TEST_CASE("messages are received in order, as what is asked for", "[receiving]") {
  Alice bench;
  bench.socket->peer_sends("text");
  bench.socket->peer_sends({false, std::string("\0\xFF", 2)});
  bench.socket->peer_sends_json({{"n", 1}});
  bench.socket->peer_sends({false, "any"});
  bench.socket->peer_sends("next");
  CHECK(bench.run(bench.manager.receive_text(*bench.alice)) == "text");
  const auto bytes = bench.run(bench.manager.receive_bytes(*bench.alice));
  CHECK(bytes == std::vector<std::byte>{std::byte{0}, std::byte{0xFF}});
  CHECK(bench.run(bench.manager.receive_json(*bench.alice))["n"] == 1);
  const Message any = bench.run(bench.manager.receive(*bench.alice));
  CHECK_FALSE(any.is_text);
  CHECK(any.payload == "any");
  CHECK(bench.run(bench.manager.next_text(*bench.alice)) == "next");
}

TEST_CASE("a receive waits for a message", "[receiving]") {
  Alice bench;
  const auto receiving = bench.start(bench.manager.receive_text(*bench.alice));
  bench.pass(24h);
  CHECK_FALSE(receiving->is_done());
  bench.socket->peer_sends("at last");
  bench.settle();
  CHECK(receiving->take() == "at last");
}

TEST_CASE("a message over the limit closes with 1009, is logged, and is an error", "[receiving]") {
  Alice bench({.max_message_bytes = 10});
  bench.socket->peer_sends(std::string(10, 'x'));
  CHECK(bench.run(bench.manager.receive_text(*bench.alice)).size() == 10);
  bench.socket->peer_sends(std::string(11, 'x'));
  CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); }) ==
        errc::message_too_big);
  bench.check_closed(1009, Reason::message_too_big);
  CHECK(bench.log.count(Severity::warning, "message_too_big") == 1);
  CHECK(bench.log.last("message_too_big") == R"(message_too_big id="alice" bytes="11")");
}

TEST_CASE("the limit counts bytes of UTF-8", "[receiving]") {
  Alice bench({.max_message_bytes = 10});
  bench.socket->peer_sends("\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC");  // 4 characters
  CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); }) ==
        errc::message_too_big);
}

TEST_CASE("every way of receiving has the limit", "[receiving]") {
  Alice bench({.max_message_bytes = 3});
  bench.socket->peer_sends({false, "four"});
  errc error{};
  SECTION("any") {
    error = bench.error_of_run([&] { return bench.manager.receive(*bench.alice); });
  }
  SECTION("bytes") {
    error = bench.error_of_run([&] { return bench.manager.receive_bytes(*bench.alice); });
  }
  SECTION("text") {
    error = bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); });
  }
  SECTION("json") {
    error = bench.error_of_run([&] { return bench.manager.receive_json(*bench.alice); });
  }
  SECTION("next") {
    error = bench.error_of_run([&] { return bench.manager.next_text(*bench.alice); });
  }
  CHECK(error == errc::message_too_big);
  bench.check_closed(1009, Reason::message_too_big);
}

TEST_CASE("the limit of one call may only be lower", "[receiving]") {
  Alice bench({.max_message_bytes = 10});
  bench.socket->peer_sends("12345");
  SECTION("lower") {
    CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice, 4); }) ==
          errc::message_too_big);
    bench.check_closed(1009, Reason::message_too_big);
  }
  SECTION("just right") {
    CHECK(bench.run(bench.manager.receive_text(*bench.alice, 5)) == "12345");
  }
  SECTION("higher") {
    CHECK(bench.run(bench.manager.receive_text(*bench.alice, 1000)) == "12345");
    bench.socket->peer_sends(std::string(11, 'x'));
    CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice, 1000); }) ==
          errc::message_too_big);
  }
}

TEST_CASE("without a limit of the manager a call may still have one", "[receiving]") {
  Alice bench({.max_message_bytes = std::nullopt});
  bench.socket->peer_sends(std::string(3'000'000, 'x'));
  CHECK(bench.run(bench.manager.receive_text(*bench.alice)).size() == 3'000'000);
  bench.socket->peer_sends("12");
  CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice, 1); }) ==
        errc::message_too_big);
}

TEST_CASE("binary where text is wanted, and the reverse, closes with 1003", "[receiving]") {
  Alice bench;
  errc error{};
  SECTION("text wanted") {
    bench.socket->peer_sends({false, "x"});
    error = bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); });
  }
  SECTION("json wanted") {
    bench.socket->peer_sends({false, "{}"});
    error = bench.error_of_run([&] { return bench.manager.receive_json(*bench.alice); });
  }
  SECTION("next text wanted") {
    bench.socket->peer_sends({false, "{}"});
    error = bench.error_of_run([&] { return bench.manager.next_text(*bench.alice); });
  }
  SECTION("bytes wanted") {
    bench.socket->peer_sends("x");
    error = bench.error_of_run([&] { return bench.manager.receive_bytes(*bench.alice); });
  }
  CHECK(error == errc::unsupported_data);
  bench.check_closed(1003, Reason::unsupported_data);
}

TEST_CASE("JSON that is none, or nested over 64, is an error, and the connection stays",
          "[receiving]") {
  Alice bench;
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  for (const std::string& text :
       {std::string("{"), std::string(), std::string("{} {}"), deep, std::string(200'000, '[')}) {
    bench.socket->peer_sends(text);
    CHECK(bench.error_of_run([&] { return bench.manager.receive_json(*bench.alice); }) ==
          errc::invalid_json);
  }
  CHECK(bench.alice->is_connected());
  bench.socket->peer_sends(deep.substr(1, 128));
  CHECK(bench.run(bench.manager.receive_json(*bench.alice)).is_array());
}

TEST_CASE("a peer that leaves ends a receive by an error, and the connection", "[receiving]") {
  Alice bench;
  const auto receiving = bench.start(bench.manager.receive_text(*bench.alice));
  bench.socket->peer_closes(4001, "bye");
  bench.settle();
  CHECK(error_of([&] { receiving->take(); }) == errc::connection_closed);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.alice->ended()->reason == Reason::peer_closed);
  CHECK(bench.alice->ended()->code == 4001);
  CHECK(bench.alice->ended()->text == "bye");
  const errc again = bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); });
  CHECK(again == errc::connection_closed);
  CHECK(contains(message_of([&] { bench.run(bench.manager.receive_text(*bench.alice)); }),
                 "peer_closed"));
}

TEST_CASE("for next_text the end is not an error", "[receiving]") {
  Alice bench;
  const auto receiving = bench.start(bench.manager.next_text(*bench.alice));
  bench.socket->peer_vanishes();
  bench.settle();
  CHECK(receiving->take() == std::nullopt);
  CHECK(bench.run(bench.manager.next_text(*bench.alice)) == std::nullopt);
}

TEST_CASE("an ended connection ends its receive, also with a message waiting", "[receiving]") {
  Alice bench;
  const auto receiving = bench.start(bench.manager.receive_text(*bench.alice));
  bench.socket->peer_sends("too late");
  const auto closing =
      detail::Child<bool>::start(bench.context.get_executor(), bench.manager.close("alice", 4000));
  bench.settle();
  CHECK(closing->take());
  REQUIRE(receiving->is_done());
}

TEST_CASE("two receives at once are an error, of the second", "[receiving]") {
  Alice bench;
  const auto first = bench.start(bench.manager.receive_text(*bench.alice));
  CHECK(bench.error_of_run([&] { return bench.manager.receive_text(*bench.alice); }) ==
        errc::already_receiving);
  CHECK(bench.error_of_run([&] { return bench.manager.next_text(*bench.alice); }) ==
        errc::already_receiving);
  bench.socket->peer_sends("one");
  bench.settle();
  CHECK(first->take() == "one");
  bench.socket->peer_sends("two");
  CHECK(bench.run(bench.manager.receive_text(*bench.alice)) == "two");
}

TEST_CASE("cancelling a receive harms nothing: the next one gets the message", "[receiving]") {
  Alice bench;
  for (int i = 0; i < 3; ++i) {
    const auto receiving = bench.start(bench.manager.receive_text(*bench.alice));
    receiving->cancel();
    bench.settle();
    REQUIRE(receiving->is_done());
    CHECK_THROWS_AS(receiving->take(), boost::system::system_error);
    CHECK(bench.alice->is_connected());
  }
  bench.socket->peer_sends("hello");
  CHECK(bench.run(bench.manager.receive_text(*bench.alice)) == "hello");

  // Cancelled when the message is already on its way: it is received now or next time.
  auto receiving = bench.start(bench.manager.receive_text(*bench.alice));
  bench.socket->peer_sends("again");
  receiving->cancel();
  bench.settle();
  std::string got;
  try {
    got = receiving->take();
  } catch (const boost::system::system_error&) {
    got = bench.run(bench.manager.receive_text(*bench.alice));
  }
  CHECK(got == "again");
  CHECK(bench.alice->is_connected());
}

// Receives text only, and tells of its end by an exception.
struct EndingSocket : PlainSocket {
  std::vector<std::string> inbound;
  awaitable<std::string> receive_text() {
    if (inbound.empty()) throw std::runtime_error("end of file");
    std::string text = inbound.front();
    inbound.erase(inbound.begin());
    co_return text;
  }
};
static_assert(ReceivingWebSocket<EndingSocket> && !ReceivesMessages<EndingSocket>);

TEST_CASE("a socket that receives only text can be received from", "[receiving]") {
  Bench<EndingSocket> bench;
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  socket->inbound = {"one", R"({"n":2})"};
  CHECK(bench.run(bench.manager.receive_text(*alice)) == "one");
  CHECK(bench.run(bench.manager.receive_json(*alice))["n"] == 2);
  CHECK(error_of([&] { bench.run(bench.manager.receive_text(*alice)); }) ==
        errc::connection_closed);
  CHECK(alice->ended()->reason == Reason::connection_lost);
  CHECK(bench.manager.total_connections() == 0);
}

// Is told the limit.
struct LimitedSocket : PlainSocket {
  std::optional<std::size_t> limit;
  void set_max_message_bytes(std::size_t n) { limit = n; }
};

TEST_CASE("a socket that can stop reading at the limit is told of it", "[receiving]") {
  Bench<LimitedSocket> bench({.max_message_bytes = 77});
  CHECK(bench.connect("alice")->limit == 77);
  Bench<LimitedSocket> open({.max_message_bytes = std::nullopt});
  CHECK(open.connect("alice")->limit == 0);
}

}  // namespace
}  // namespace roost
