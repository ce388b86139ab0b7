// SPDX-License-Identifier: MIT
// Calls of scripts that are sent as one, without a Redis.
#include <roost/redis/scripts/call_queue.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using detail::RedisCall;
using detail::RedisReply;
using detail::RedisRun;
using Strings = std::vector<std::string>;

RedisReply nth(const RedisReply& all, std::size_t which) {
  return {.text = all.text + std::to_string(which)};
}
constexpr detail::RedisBatch one_argument = {1, 1, nth};

RedisCall batched_call(std::string key, std::string argument, Strings* outcomes = nullptr) {
  RedisCall call{.arguments = {std::move(key), argument}, .batch = &one_argument};
  call.done = [outcomes, argument](const RedisReply* reply, errc why) {
    if (!outcomes) return;
    outcomes->push_back(argument + ": " + (reply ? reply->text : make_error_code(why).message()));
  };
  return call;
}

/// The arguments of calls that are sent as one, joined by commas.
Strings shown_runs(const std::vector<RedisRun>& runs) {
  Strings shown;
  for (const RedisRun& run : runs) {
    std::string line;
    for (const RedisCall& call : run) line += (line.empty() ? "" : ",") + call.arguments.back();
    shown.push_back(line);
  }
  return shown;
}

constexpr std::size_t any_size = 65'536;
detail::RedisCallQueue queue() { return detail::RedisCallQueue({1'000'000, 30s}); }

}  // namespace

TEST_CASE("calls for one key are sent as one, in their order, and others beside them") {
  auto calls = queue();
  for (const char* call : {"a1", "b1", "a2", "a3", "b2"}) {
    calls.push(batched_call({call[0]}, call), Clock::time_point());
  }
  CHECK(shown_runs(calls.pop(any_size)) == Strings{"a1,a2,a3", "b1,b2"});
  CHECK_FALSE(calls.is_waiting());
}

TEST_CASE("calls for one key that are of different scripts or users are not sent as one") {
  auto calls = queue();
  const auto push = [&](const char* name, std::size_t user, std::size_t script,
                        const detail::RedisBatch* batch) {
    RedisCall call = batched_call("a", name);
    call.user = user;
    call.script = script;
    call.batch = batch;
    calls.push(std::move(call), Clock::time_point());
  };
  static constexpr detail::RedisBatch other_way = {1, 1, nth};
  push("1", 0, 0, &one_argument);
  push("2", 0, 0, &one_argument);
  push("user", 1, 0, &one_argument);
  push("script", 1, 1, &one_argument);
  push("way", 1, 1, &other_way);
  push("3", 0, 0, &one_argument);
  push("4", 0, 0, &one_argument);
  CHECK(shown_runs(calls.pop(any_size)) == Strings{"1,2", "user", "script", "way", "3,4"});
}

TEST_CASE("a call that is given up may give up others, and make new ones") {
  auto calls = queue();
  Strings outcomes;
  for (const char* name : {"a1", "a2", "a3"}) {
    RedisCall call = batched_call("a", name);
    call.done = [&, name](const RedisReply*, errc) {
      outcomes.push_back(name);
      calls.push(batched_call("a", "new", &outcomes), Clock::time_point(31s));
    };
    calls.push(std::move(call), Clock::time_point());
  }
  calls.expire(Clock::time_point(31s));
  CHECK(outcomes == Strings{"a1", "a2", "a3"});
  CHECK(shown_runs(calls.pop(any_size)) == Strings{"new,new,new"});
}

TEST_CASE("calls that are sent as one are at most so many, and pass no call of another kind") {
  auto calls = queue();
  Strings expected(3);
  for (int n = 0; n < 70; ++n) {
    std::string& line = expected[static_cast<std::size_t>(n) / detail::max_batch];
    line += (line.empty() ? "" : ",") + std::to_string(n);
    calls.push(batched_call("a", std::to_string(n)), Clock::time_point());
  }
  calls.push({.arguments = {"a", "forget"}}, Clock::time_point());
  calls.push(batched_call("a", "after"), Clock::time_point());
  expected.insert(expected.end(), {"forget", "after"});
  CHECK(shown_runs(calls.pop(any_size)) == expected);
}

TEST_CASE("each of the calls that are sent as one takes a place in the window and in a burst") {
  auto calls = queue();
  for (int n = 0; n < 300; ++n) calls.push(batched_call("a", "x"), Clock::time_point());
  std::size_t taken = 0;
  for (RedisRun& run : calls.pop(1'000'000)) {
    taken += run.size();
    calls.sent(std::move(run), Clock::time_point());
  }
  CHECK(taken == detail::RedisCallQueue::window);
  CHECK(calls.pop(1'000'000).empty());
  auto few = queue();
  for (int n = 0; n < 3; ++n)
    few.push(batched_call("a", std::string(500, 'x')), Clock::time_point());
  const auto runs = few.pop(1'000);
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].size() == 2);
}

TEST_CASE("each of the calls that are sent as one has an outcome of its own") {
  auto calls = queue();
  Strings outcomes;
  for (const char* call : {"a1", "b1", "a2"}) {
    calls.push(batched_call({call[0]}, call, &outcomes), Clock::time_point());
  }
  for (RedisRun& run : calls.pop(any_size)) calls.sent(std::move(run), Clock::time_point());
  RedisRun answered = calls.take_answered();
  SECTION("answered") {
    calls.answer(answered, {.text = "reply "});
    CHECK(outcomes == Strings{"a1: reply 0", "a2: reply 1"});
    answered = calls.take_answered();
    calls.answer(answered, {.text = "other "});
    CHECK(outcomes.back() == "b1: other 0");
    CHECK(calls.is_unused());
  }
  SECTION("not run: each waits again, in its order, before what came later") {
    for (RedisCall& call : answered) calls.refuse(std::move(call));
    calls.push(batched_call("a", "a3", &outcomes), Clock::time_point());
    answered = calls.take_answered();
    calls.answer(answered, {.text = "other "});
    calls.take_refused_back();
    CHECK(shown_runs(calls.pop(any_size)) == Strings{"a1,a2,a3"});
  }
  SECTION("lost") {
    calls.answer(answered, {.text = "reply "});
    CHECK(calls.lose_in_flight() == 1);
    CHECK(outcomes.back() == "b1: outcome unknown");
  }
}

TEST_CASE("a question is told when it is dropped, sent or not, and may make new calls") {
  auto calls = queue();
  Strings outcomes;
  for (const char* name : {"sent", "refused", "waiting"}) {
    RedisCall call = batched_call("a", name);
    call.batch = nullptr;
    call.done = [&, name](const RedisReply*, errc why) {
      outcomes.push_back(name + (": " + make_error_code(why).message()));
      calls.push(batched_call("a", "new"), Clock::time_point());
    };
    if (name == std::string("waiting")) {
      for (RedisRun& run : calls.pop(any_size)) calls.sent(std::move(run), Clock::time_point());
      RedisRun first = calls.take_answered();
      calls.refuse(std::move(calls.take_answered().front()));
      calls.sent(std::move(first), Clock::time_point());
    }
    calls.push_question(std::move(call));
  }
  calls.push(batched_call("a", "patient"), Clock::time_point());
  CHECK(calls.lose_in_flight() == 0);
  CHECK(outcomes ==
        Strings{"sent: outcome unknown", "refused: outcome unknown", "waiting: outcome unknown"});
  CHECK(shown_runs(calls.pop(any_size)) == Strings{"patient,new,new,new"});
}

TEST_CASE("calls that Redis did not run are given up by their age, whatever was sent as one") {
  auto calls = queue();
  Strings outcomes;
  Clock::time_point now;
  for (const char* call : {"a1", "b1", "a2"}) {
    calls.push(batched_call({call[0]}, call, &outcomes), now);
    now += 1s;
  }
  for (RedisRun& run : calls.pop(any_size)) calls.sent(std::move(run), now);
  while (calls.is_in_flight()) {
    for (RedisCall& call : calls.take_answered()) calls.refuse(std::move(call));
  }
  calls.take_refused_back();
  calls.expire(Clock::time_point(31s));
  CHECK(outcomes == Strings{"a1: backplane unavailable", "b1: backplane unavailable"});
}

}  // namespace roost
