// SPDX-License-Identifier: MIT
// What the Redis backplane decides without a Redis.
#include <roost/redis/connection/codec.hpp>
#include <roost/redis/connection/reconnecting.hpp>
#include <roost/redis/connection/shared.hpp>
#include <roost/redis/connection/url.hpp>
#include <roost/redis/numbering/sequences.hpp>
#include <roost/redis/numbering/stamp.hpp>
#include <roost/redis/publishing/spool.hpp>
#include <roost/redis/subscribing/channels.hpp>
#include <roost/redis/subscribing/subscriber.hpp>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::contains;
using test::error_of;
using test::message_of;

// --- URL ---

using Transport = RedisUrl::Transport;

TEST_CASE("a Redis URL says where, as whom, and which database", "[redis]") {
  const RedisUrl plain = parse_redis_url("redis://localhost");
  CHECK(plain.transport == Transport::tcp);
  CHECK(plain.host == "localhost");
  CHECK(plain.port == 6379);
  CHECK(plain.user.empty());
  CHECK(plain.password.empty());
  CHECK(plain.database == 0);
  CHECK(plain.where() == "localhost:6379");

  const RedisUrl full = parse_redis_url("rediss://us%40er:p%3Aa%2Fss%25@redis.example.com:6380/15");
  CHECK(full.transport == Transport::tls);
  CHECK(full.host == "redis.example.com");
  CHECK(full.port == 6380);
  CHECK(full.user == "us@er");
  CHECK(full.password == "p:a/ss%");
  CHECK(full.database == 15);
  CHECK(full.where() == "redis.example.com:6380");

  CHECK(parse_redis_url("redis://:pass@h").password == "pass");
  CHECK(parse_redis_url("redis://:p:a@s@h").password == "p:a@s");  // read as redis-py does
  CHECK(parse_redis_url("redis://h/").database == 0);
  CHECK(parse_redis_url("redis://h?db=3").database == 3);
  CHECK(parse_redis_url("redis://[::1]:7000/2").host == "::1");
  CHECK(parse_redis_url("redis://[::1]:7000/2").where() == "[::1]:7000");
  CHECK(parse_redis_url("redis://[::1]").port == 6379);

  CHECK(parse_redis_url("REDIS://h").transport == Transport::tcp);
  CHECK(parse_redis_url("RedisS://h").transport == Transport::tls);
  CHECK(parse_redis_url("valkey://h/2").transport == Transport::tcp);
  CHECK(parse_redis_url("valkey://h/2").database == 2);
  CHECK(parse_redis_url("valkeys://h").transport == Transport::tls);
  CHECK(parse_redis_url("UNIX:///run/Redis.sock").path == "/run/Redis.sock");

  const RedisUrl unix_url = parse_redis_url("unix://u:p@/run/my%20redis/redis.sock?db=2");
  CHECK(unix_url.transport == Transport::unix_socket);
  CHECK(unix_url.path == "/run/my redis/redis.sock");
  CHECK(unix_url.user == "u");
  CHECK(unix_url.password == "p");
  CHECK(unix_url.database == 2);
  CHECK(unix_url.where() == "/run/my redis/redis.sock");
}

TEST_CASE("a Redis URL that is wrong is refused, naming what, and never the password", "[redis]") {
  const struct {
    std::string_view url;
    std::string_view why;
  } cases[] = {
      {"", "begin with redis://"},
      {"localhost:6379", "begin with redis://"},
      {"http://user:secret@h", "redis://, rediss:// or unix://"},
      {"redis+tls://:secret@h", "redis://, rediss:// or unix://"},
      {"redis://", "no host"},
      {"redis:///0", "no host"},
      {"redis://:secret@", "no host"},
      {"redis://:secret@:6379", "no host"},
      {"redis://:secret@h:", "port"},
      {"redis://:secret@h:0", "port"},
      {"redis://:secret@h:65536", "port"},
      {"redis://:secret@h:63x", "port"},
      {"redis://:secret@h:-1", "port"},
      {"redis://:secret@h/x", "database"},
      {"redis://:secret@h/-1", "database"},
      {"redis://:secret@h/1/2", "database"},
      {"redis://:secret@h/99999999999", "database"},
      {"redis://:secret@h?db=", "database"},
      {"redis://:secret@h?timeout=1", "unknown parameter \"timeout\""},
      {"redis://secret@h", "without a password"},
      {"redis://user:@h", "without a password"},
      {"redis://@h", "without a password"},
      {"redis://:secret%4@h", "password"},
      {"redis://:secret%zz@h", "password"},
      {"redis://us%er:secret@h", "user"},
      {"redis://:sec/ret@h", "a / must be percent-encoded"},
      {"redis://:secret#1@h", "#"},
      {"redis://user:1?secret@h", "a ? must be percent-encoded"},
      {"redis://[::1", "not closed"},
      {"redis://:secret@[::1]6379", "followed"},
      {"unix://", "no path"},
      {"unix://:secret@relative/path", "absolute"},
  };
  for (const auto& [url, why] : cases) {
    CAPTURE(url);
    const auto parse = [url = url] { return parse_redis_url(url); };
    CHECK(error_of(parse) == errc::invalid_url);
    CHECK(contains(message_of(parse), why));
    CHECK_FALSE(contains(message_of(parse), "secret"));
    CHECK_FALSE(contains(message_of(parse), "sec"));
  }
}

// --- backoff ---

TEST_CASE("the delay is random below a bound that doubles up to the longest", "[redis]") {
  Backoff backoff(500ms, 30s);
  CHECK(backoff.next(0.0) == 0s);
  CHECK(backoff.next(0.5) == 500ms);
  CHECK(backoff.next(0.5) == 1s);
  for (int i = 0; i < 70; ++i) {
    const auto delay = backoff.next(0.999);
    CHECK(delay > 0s);
    CHECK(delay < 30s);
  }
  CHECK(backoff.next(0.5) == 15s);
  backoff.reset();
  CHECK(backoff.next(0.5) == 250ms);

  Backoff odd(7s, 10s);
  CHECK(odd.next(0.5) == 3500ms);
  CHECK(odd.next(0.5) == 5s);
}

// --- spool ---

struct Spooling {
  Clock::time_point now{1h};
  bool is_away = true;
  Spool spool;

  explicit Spooling(SpoolLimits limits, std::size_t max_channels = 100)
      : spool(limits, Numbering(7, max_channels)) {}

  std::shared_ptr<Outcome> push(std::string text, std::string channel = "c") {
    auto outcome = std::make_shared<Outcome>();
    spool.push(std::move(channel), std::move(text), OutcomePromise(outcome), now, is_away);
    return outcome;
  }
  std::string pop() {
    const auto message = spool.pop(now);
    if (!message) return "nothing";
    return message->text + " " + std::to_string(message->number.epoch) + "." +
           std::to_string(message->number.sequence);
  }
};

std::string said(const Outcome& outcome) {
  if (!outcome.known) return "nothing";
  if (outcome.known->error) return outcome.known->error.message();
  return std::to_string(outcome.known->receivers.value_or(999));
}

TEST_CASE("a spool gives messages back in order, with the numbers they got on entry", "[redis]") {
  Spooling s({.bytes = 10'000, .age = 1min});
  CHECK(s.pop() == "nothing");
  s.push("a");
  s.push("b");
  s.push("other", "d");
  CHECK(s.spool.size() == 3);
  CHECK(s.pop() == "a 7.1");
  s.push("c");
  CHECK(s.pop() == "b 7.2");
  CHECK(s.pop() == "other 7.1");
  CHECK(s.pop() == "c 7.3");
  CHECK(s.spool.empty());
  CHECK(s.spool.bytes() == 0);
  CHECK(s.spool.dropped() == 0);
}

TEST_CASE("a full spool drops the oldest, and counts it", "[redis]") {
  Spooling s({.bytes = 3000, .age = 1min});
  const auto a = s.push(std::string(1000, 'a'));
  const auto b = s.push(std::string(1000, 'b'));
  CHECK(s.spool.dropped() == 0);
  const auto c = s.push(std::string(1000, 'c'));
  CHECK(s.spool.dropped() == 1);
  CHECK(said(*a) == "backplane unavailable");
  CHECK(said(*b) == "nothing");
  CHECK(s.pop().back() == '2');
  CHECK(s.pop().back() == '3');
  CHECK(said(*c) == "backplane unavailable");  // taken out, and nothing became of it
  CHECK(s.spool.bytes() == 0);
}

TEST_CASE("while Redis takes messages a burst of one turn is taken, whatever its size", "[redis]") {
  Spooling s({.bytes = 3000, .age = 1min});
  s.is_away = false;
  for (int i = 0; i < 100; ++i) s.push(std::string(1000, 'x'));
  CHECK(s.spool.size() == 100);
  CHECK(s.spool.dropped() == 0);
  s.spool.end_turn();
  const auto refused = s.push("y");
  CHECK(said(*refused) == "backplane full");
  CHECK(s.spool.dropped() == 1);
  while (s.spool.bytes() > 4 * 3000 - 500) s.pop();
  CHECK(said(*s.push("z")) == "nothing");  // within four times the limit
  while (s.spool.is_over()) s.pop();
  for (int i = 0; i < 100; ++i) s.push(std::string(1000, 'x'));  // the next burst
  CHECK(s.spool.size() > 100);
  CHECK(s.spool.dropped() == 1);
  s.spool.shrink();  // Redis is away
  CHECK_FALSE(s.spool.is_over());
  CHECK(s.spool.size() == 2);
}

TEST_CASE("small messages count with what they cost", "[redis]") {
  Spooling s({.bytes = 3000, .age = 1min});
  for (int i = 0; i < 1000; ++i) s.push("x");
  CHECK(s.spool.size() < 100);
  CHECK(s.spool.size() + s.spool.dropped() == 1000);
}

TEST_CASE("a message that is too old is dropped when it is looked at", "[redis]") {
  Spooling s({.bytes = 10'000, .age = 10s});
  s.push("a");
  s.now += 6s;
  s.push("b");
  s.now += 4s;
  s.push("c");  // the first is exactly 10 s old
  CHECK(s.spool.dropped() == 0);
  s.now += 1s;
  CHECK(s.pop() == "b 7.2");
  CHECK(s.spool.dropped() == 1);
  s.now += 1min;
  s.push("d");
  CHECK(s.spool.size() == 1);
  CHECK(s.spool.dropped() == 2);
  s.spool.clear();
  CHECK(s.spool.dropped() == 3);
}

TEST_CASE("waiting for a spooled message can be given up, and the message stays", "[redis]") {
  Spooling s({.bytes = 10'000, .age = 10s});
  const auto a = s.push("a");
  CHECK(said(*a) == "nothing");
  s.spool.give_up_waiting();
  CHECK(said(*a) == "backplane unavailable");
  CHECK(s.pop() == "a 7.1");
}

TEST_CASE("with too many channels numbers begin anew, in another epoch", "[redis]") {
  Spooling s({.bytes = 10'000, .age = 10s}, 2);
  for (const char* channel : {"c", "d", "c", "e", "c", "c"}) s.push(channel, channel);
  CHECK(s.pop() == "c 7.1");
  CHECK(s.pop() == "d 7.1");
  CHECK(s.pop() == "c 7.2");
  CHECK(s.pop() == "e 8.1");
  CHECK(s.pop() == "c 8.1");
  CHECK(s.pop() == "c 8.2");
}

TEST_CASE("an outcome is told once", "[redis]") {
  auto outcome = std::make_shared<Outcome>();
  {
    OutcomePromise promise(outcome);
    OutcomePromise moved = std::move(promise);
    CHECK(said(*outcome) == "nothing");
    moved.tell({.receivers = 3});
    moved.tell({.receivers = 4});
  }
  CHECK(said(*outcome) == "3");
  OutcomePromise nobody;
  nobody.tell({});
}

// --- sequences ---

using Kind = SequenceVerdict::Kind;

struct Hearing {
  Sequences sequences{3};
  std::uint64_t subscription = 1;

  std::string hear(const char* node, std::uint64_t sequence, std::uint64_t epoch = 1,
                   const char* channel = "c") {
    return text(sequences.note(channel, subscription, {node, epoch, sequence}));
  }
  std::string tail(const char* node, std::uint64_t sequence) {
    return text(sequences.announced("c", subscription, {node, 1, sequence}));
  }
  static std::string text(const SequenceVerdict& verdict) {
    const std::string range = std::to_string(verdict.first) + "-" + std::to_string(verdict.last);
    if (verdict.kind == Kind::gap) return "lost " + range;
    if (verdict.kind == Kind::duplicate) return "again " + range;
    return "ok";
  }
};

TEST_CASE("a gap and a duplicate are found for each node, epoch and channel", "[redis]") {
  Hearing h;
  CHECK(h.hear("a", 5) == "ok");  // the baseline
  CHECK(h.hear("a", 6) == "ok");
  CHECK(h.hear("b", 1) == "ok");
  CHECK(h.hear("a", 9) == "lost 7-8");
  CHECK(h.hear("a", 10) == "ok");
  CHECK(h.hear("a", 10) == "again 10-10");
  CHECK(h.hear("a", 8) == "again 8-8");  // late: reported missing already
  CHECK(h.hear("a", 11) == "ok");
  CHECK(h.hear("b", 2) == "ok");
  CHECK(h.hear("a", 1, 2) == "ok");
  CHECK(h.hear("a", 2, 2) == "ok");
}

TEST_CASE("channels are counted apart", "[redis]") {
  Hearing h;
  CHECK(h.hear("a", 5, 1, "c") == "ok");
  CHECK(h.hear("a", 1, 1, "d") == "ok");
  CHECK(h.hear("a", 2, 1, "d") == "ok");
  CHECK(h.hear("a", 6, 1, "c") == "ok");
}

TEST_CASE("a lost tail shows when the node tells its last number", "[redis]") {
  Hearing h;
  CHECK(h.tail("a", 4) == "ok");  // never heard of: the baseline
  CHECK(h.hear("a", 5) == "ok");
  CHECK(h.tail("a", 5) == "ok");
  CHECK(h.tail("a", 8) == "lost 6-8");
  CHECK(h.tail("a", 8) == "ok");
  CHECK(h.tail("a", 7) == "ok");
  CHECK(h.hear("a", 9) == "ok");
}

TEST_CASE("messages sent while a channel was not subscribed on purpose are not missing",
          "[redis]") {
  Hearing h;
  CHECK(h.hear("a", 5) == "ok");
  h.subscription = 2;
  CHECK(h.hear("a", 9) == "ok");
  CHECK(h.hear("a", 11) == "lost 10-10");
  h.subscription = 3;
  CHECK(h.tail("a", 20) == "ok");
  CHECK(h.hear("a", 21) == "ok");
}

TEST_CASE("the publishers not heard of for longest are forgotten", "[redis]") {
  Hearing h;
  for (const char* node : {"a", "b", "c", "a", "d"}) h.hear(node, 1);
  CHECK(h.sequences.size() == 3);
  CHECK(h.hear("a", 3) == "lost 2-2");
  CHECK(h.hear("b", 3) == "ok");  // forgotten
  CHECK(h.sequences.size() == 3);
  h.sequences.clear();
  CHECK(h.hear("a", 7) == "ok");
}

// --- probe ---

TEST_CASE("a silent subscription is asked twice, then lost", "[redis]") {
  using Action = Probe::Action;
  Clock::time_point now{1h};
  Probe probe(30s, 5s, now);
  CHECK(probe.next(now).action == Action::wait);
  CHECK(probe.next(now).until == now + 30s);
  now += 20s;
  probe.heard(now);
  now += 29s;
  CHECK(probe.next(now).until == now + 1s);
  now += 1s;
  CHECK(probe.next(now).action == Action::send);
  CHECK(probe.next(now).until == now + 5s);
  now += 5s;
  CHECK(probe.next(now).action == Action::suspect);
  now += 4s;
  CHECK(probe.next(now).action == Action::wait);
  probe.heard(now);
  now += 30s;
  CHECK(probe.next(now).action == Action::send);
  now += 5s;
  CHECK(probe.next(now).action == Action::suspect);
  now += 5s;
  CHECK(probe.next(now).action == Action::lost);
}

// --- stamp ---

/// What is published of a message.
std::string stamped(std::string_view text, const SequenceStamp& stamp) {
  std::string bytes;
  append_publish(bytes, "c", text, stamp);
  RedisReader reader;
  reader.feed(bytes);
  const RedisReply* const command = reader.next();
  REQUIRE(command);
  REQUIRE(command->elements.size() == 3);
  CHECK(command->elements[0].text == "PUBLISH");
  CHECK(command->elements[1].text == "c");
  return command->elements[2].text;
}

/// What handlers get of a message with a stamp.
json json_of(std::string_view text) {
  Parcel parcel{std::string(text)};
  parcel.hide(stamp_fields);
  return parcel.json();
}

TEST_CASE("a stamp is put on a message and taken off again", "[redis]") {
  const SequenceStamp stamp{.node = "abc", .epoch = 12, .sequence = 3};
  CHECK(stamped(R"({"kind":"text"})", stamp) ==
        R"({"v":1,"node":"abc","epoch":12,"seq":3,"kind":"text"})");
  const std::string text = stamped(R"({"kind":"text"})", stamp);
  const auto taken = find_stamp(text).stamp();
  REQUIRE(taken);
  CHECK(taken->node == "abc");
  CHECK(taken->epoch == 12);
  CHECK(taken->sequence == 3);
  CHECK(json_of(text) == json{{"kind", "text"}});
  CHECK(json::parse(stamped("{}", stamp)).size() == 4);
}

TEST_CASE("a stamp that stands in front is cut off without parsing", "[redis]") {
  const std::string node(32, 'a');
  std::string text = stamped(R"({"kind":"text"})", {node, 12, 18'446'744'073'709'551'615U});
  const auto stamp = cut_stamp(text);
  REQUIRE(stamp);
  CHECK(text == R"({"kind":"text"})");
  CHECK(stamp->node == node);
  CHECK(stamp->epoch == 12);
  CHECK(stamp->sequence == 18'446'744'073'709'551'615U);

  const std::string whole = stamped(R"({"kind":"text"})", {node, 12, 3});
  const std::string stamp_only = whole.substr(0, whole.find(",\"kind"));
  for (std::size_t size = 0; size <= stamp_only.size(); ++size) {
    std::string cut = whole.substr(0, size);
    CHECK_FALSE(cut_stamp(cut));
    CHECK(cut == whole.substr(0, size));
  }
  for (std::string other :
       {stamped("{}", {node, 12, 3}), stamped(R"({"a":1})", {std::string(32, '"'), 12, 3}),
        R"({"a":1,)" + whole.substr(1),
        R"({"v":1,"node":")" + node + R"(","epoch":-1,"seq":1,"a":1})",
        R"({"v":1,"node":")" + node + R"(","epoch":99999999999999999999,"seq":1,"a":1})",
        R"({"v":1,"node":")" + node + R"(","epoch":1,"seq":1.5,"a":1})",
        R"({"v":1,"node":")" + node + R"(","epoch":1,"req":1,"a":1})"}) {
    const std::string before = other;
    CHECK_FALSE(cut_stamp(other));
    CHECK(other == before);
  }
}

TEST_CASE("a stamp that stands elsewhere is found", "[redis]") {
  for (const char* text :
       {R"({"v":1,"node":"n","epoch":12,"seq":3})",
        R"({"a":1,"v":1,"node":"n","epoch":12,"seq":3})",
        R"({"a":[1],"seq":3,"n\u006fde":"n","b":{"v":2},"epoch":12,"v":1})",
        R"( { "v" : 1 , "node" : "n" , "epoch" : 12 , "seq" : 3 , "a" : 1 } )"}) {
    CAPTURE(text);
    std::string same = text;
    CHECK_FALSE(cut_stamp(same));
    const auto stamp = find_stamp(text).stamp();
    REQUIRE(stamp);
    CHECK(stamp->node == "n");
    CHECK(stamp->epoch == 12);
    CHECK(stamp->sequence == 3);
    CHECK(reserved_field(json_of(text)) == nullptr);
  }
}

TEST_CASE("messages of others have no stamp, and are left alone", "[redis]") {
  for (const char* text :
       {R"({})", R"({"kind":"text"})", R"({"v":1})", R"({"v":2,"node":"a","epoch":1,"seq":1})",
        R"({"v":1,"node":7,"epoch":1,"seq":1})", R"({"v":1,"node":"","epoch":1,"seq":1})",
        R"({"v":1,"node":"a","epoch":-1,"seq":1})", R"({"v":1,"node":"a","epoch":1})",
        R"({"v":1,"node":"a","epoch":1,"seq":"1"})", R"({"v":1,"epoch":1,"seq":1})"}) {
    CAPTURE(text);
    std::string same = text;
    CHECK_FALSE(cut_stamp(same));
    CHECK(same == text);
    CHECK_FALSE(find_stamp(text).stamp());
  }
  const json long_name = {{"v", 1U}, {"node", std::string(65, 'a')}, {"epoch", 1U}, {"seq", 1U}};
  CHECK_FALSE(find_stamp(long_name.dump()).stamp());
}

TEST_CASE("the fields of a stamp are not the publisher's", "[redis]") {
  CHECK(reserved_field({{"kind", "text"}}) == nullptr);
  for (const char* field : {"v", "node", "epoch", "seq"}) {
    CHECK(reserved_field({{field, 1}}) == std::string_view(field));
  }
}

// As a replica announces that does not tell times.
std::string untimed_announcement(std::string_view node, std::uint64_t epoch, const json& last) {
  return stamp_prefix(node, epoch) + R"(,"last":)" + last.dump() + "}";
}

TEST_CASE("an announcement without times is read", "[redis]") {
  const json last = {{"hawkapi:ws", 7}, {"odd \" name", 1}};
  const auto announcement_in = [](std::string_view text) {
    const auto sender = find_stamp(text).sender();
    return sender ? read_announcement(*sender, json::parse(text)) : std::nullopt;
  };
  const auto read = announcement_in(untimed_announcement("abc", 12, last));
  REQUIRE(read);
  CHECK(read->sender.node == "abc");
  CHECK(read->sender.epoch == 12);
  using Last = std::vector<std::pair<std::string, std::uint64_t>>;
  CHECK(read->last == Last{{"hawkapi:ws", 7}, {"odd \" name", 1}});
  CHECK_FALSE(announcement_in(R"({"v":1,"node":"a","epoch":1})"));
  CHECK_FALSE(announcement_in(R"({"v":1,"node":"a","epoch":1,"last":[1]})"));
  CHECK_FALSE(announcement_in(R"({"v":1,"node":"a","epoch":1,"last":{"c":-1}})"));
  CHECK_FALSE(announcement_in(R"([])"));
}

// --- channels ---

struct Subscribing {
  Channels channels;

  /// The commands to send now, with how many channels each has.
  std::string flush() {
    std::string bytes;
    channels.flush(bytes);
    RedisReader reader({.elements = 1024});
    reader.feed(bytes);
    std::string text;
    while (const auto command = reader.next()) {
      const std::size_t count = command->elements.size() - 1;
      text += command->elements[0].text[0];
      text += count == 1 ? command->elements[1].text : std::to_string(count);
      text += ' ';
    }
    return text;
  }
};

TEST_CASE("channels are asked for once, from the first user to the last", "[redis]") {
  Subscribing s;
  s.channels.subscribe("a");
  CHECK(s.flush().empty());  // not connected
  s.channels.connect();
  CHECK(s.flush() == "Sa ");
  CHECK(s.channels.find("a")->pending == 1);
  s.channels.acknowledge("a");
  CHECK(s.channels.find("a")->pending == 0);
  s.channels.subscribe("a");
  CHECK(s.flush().empty());
  s.channels.unsubscribe("a");
  CHECK(s.flush().empty());
  s.channels.unsubscribe("a");
  s.channels.unsubscribe("a");
  CHECK(s.flush() == "Ua ");
  CHECK(s.channels.find("a") == nullptr);
  CHECK(s.channels.requested() == 1);
  CHECK(s.channels.acknowledged() == 1);
}

TEST_CASE("a subscription that changes back before it is sent is not sent", "[redis]") {
  Subscribing s;
  s.channels.connect();
  s.channels.subscribe("a");
  s.channels.unsubscribe("a");
  CHECK(s.flush().empty());
  s.channels.subscribe("a");
  CHECK(s.flush() == "Sa ");
  const std::uint64_t first = s.channels.find("a")->subscription;
  s.channels.unsubscribe("a");
  s.channels.subscribe("a");
  CHECK(s.flush().empty());
  CHECK(s.channels.find("a")->subscription != first);
}

TEST_CASE("a new connection is asked for everything, in batches", "[redis]") {
  Subscribing s;
  for (int i = 0; i < 1030; ++i) s.channels.subscribe(std::to_string(i));
  s.channels.connect();
  CHECK(s.flush() == "S512 S512 S6 ");
  CHECK(s.channels.requested() == 1030);
  s.channels.acknowledge("7");
  s.channels.disconnect();
  CHECK(s.channels.requested() == 0);
  CHECK(s.channels.acknowledged() == 0);
  for (int i = 0; i < 1029; ++i) s.channels.unsubscribe(std::to_string(i));
  CHECK(s.flush().empty());
  s.channels.connect();
  CHECK(s.flush() == "S1029 ");
}

// --- incoming ---

TEST_CASE("a number told before a subscription is acknowledged says nothing about it", "[redis]") {
  boost::asio::io_context context;
  const auto executor = context.get_executor();
  const auto shared = std::make_shared<RedisShared>(executor, validated(RedisOptions{}));
  const auto inbound = std::make_shared<HandlerQueues>(executor, QueueLimits{10, 1000}, Logger());
  RedisIncoming incoming(shared, inbound);
  Subscribing s;
  s.channels.subscribe("c");
  s.channels.connect();
  CHECK(s.flush() == "Sc ");
  const auto tell = [&](int last) {
    incoming.on_control(untimed_announcement("abc", 1, json{{"c", last}}), s.channels);
  };
  const auto hear = [&](std::uint64_t sequence) {
    std::string text = stamped(R"({"a":1})", {"abc", 1, sequence});
    incoming.on_message("c", s.channels.find("c")->subscription, text);
  };
  tell(4);
  s.channels.acknowledge("c");
  hear(6);  // 5 was sent before Redis knew of the subscription
  CHECK(shared->stats.lost == 0);
  tell(8);
  CHECK(shared->stats.lost == 2);
  hear(10);
  CHECK(shared->stats.lost == 3);
  inbound->close();
}

// --- codec ---

TEST_CASE("a command is written in the protocol of Redis", "[redis]") {
  std::string out = "before ";
  append_command(out, {"PUBLISH", "", std::string_view("\0\r\n", 3)});
  const std::string binary("\0\r\n", 3);
  CHECK(out == "before *3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$3\r\n" + binary + "\r\n");
}

TEST_CASE("replies are read, however they are cut", "[redis]") {
  const std::string bytes =
      "+OK\r\n-ERR wrong\r\n:42\r\n$-1\r\n*-1\r\n$3\r\na\r\n\r\n"
      "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n*2\r\n*1\r\n:1\r\n*0\r\n";
  for (std::size_t piece = 1; piece < bytes.size(); ++piece) {
    RedisReader reader;
    std::vector<RedisReply> replies;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      reader.feed(std::string_view(bytes).substr(at, piece));
      while (auto reply = reader.next()) replies.push_back(std::move(*reply));
    }
    CHECK(reader.error().empty());
    REQUIRE(replies.size() == 8);
    CHECK(replies[0].text == "OK");
    CHECK_FALSE(replies[0].is_error());
    CHECK(replies[1].text == "ERR wrong");
    CHECK(replies[1].is_error());
    CHECK(replies[2].integer == 42);
    CHECK(replies[2].is_integer());
    CHECK(replies[3].type == REDIS_REPLY_NIL);
    CHECK(replies[4].type == REDIS_REPLY_NIL);
    CHECK(replies[5].text == "a\r\n");
    REQUIRE(replies[6].elements.size() == 3);
    CHECK(replies[6].elements[2].text == "hello");
    REQUIRE(replies[7].elements.size() == 2);
    CHECK(replies[7].elements[0].elements.at(0).integer == 1);
    CHECK(replies[7].elements[1].elements.empty());
  }
}

TEST_CASE("a reply says nothing of the one before it", "[redis]") {
  RedisReader reader;
  const auto read = [&](std::string_view bytes) -> const RedisReply& {
    reader.feed(bytes);
    const RedisReply* const reply = reader.next();
    REQUIRE(reply);
    return *reply;
  };
  CHECK(read("*3\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n").elements.size() == 3);
  const RedisReply& array = read("*2\r\n:1\r\n$-1\r\n");
  REQUIRE(array.elements.size() == 2);
  CHECK(array.elements[0].text.empty());
  CHECK(array.elements[0].is_integer());
  CHECK(array.elements[1].text.empty());
  CHECK(read("+OK\r\n").elements.empty());
  CHECK(read(":7\r\n").text.empty());
  CHECK(read("*0\r\n").elements.empty());
}

TEST_CASE("an answer that no Redis would give is refused before it takes memory", "[redis]") {
  for (const std::string_view bytes :
       {"*2147483647\r\n", "*65\r\n", "*1\r\n*2000000000\r\n", "?\r\n", "*x\r\n", "$-7\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"}) {
    CAPTURE(bytes);
    RedisReader reader;
    reader.feed(bytes);
    CHECK_FALSE(reader.next());
    CHECK_FALSE(reader.error().empty());
    reader.feed("+OK\r\n");
    CHECK_FALSE(reader.next());
  }
}

TEST_CASE("a string over the limit is refused while it comes", "[redis]") {
  RedisReader reader({.elements = 3, .bytes = 100});
  reader.feed("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$90\r\n" + std::string(90, 'x') + "\r\n");
  CHECK(reader.next());
  reader.feed("$4000000000\r\n" + std::string(50, 'x'));
  CHECK_FALSE(reader.next());
  CHECK(reader.error().empty());
  reader.feed(std::string(50, 'x'));
  CHECK_FALSE(reader.next());
  CHECK(contains(reader.error(), "over 100 bytes"));
}

TEST_CASE("a reply that is not complete goes with its reader", "[redis]") {
  RedisReader reader;
  reader.feed("*3\r\n$7\r\nmessage\r\n*2\r\n$1\r\nc\r\n");
  CHECK_FALSE(reader.next());
}

}  // namespace
}  // namespace roost::detail
