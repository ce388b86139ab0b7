// SPDX-License-Identifier: MIT
// The failure sweep: each I/O call of a chat goes wrong once, in each way, in a run of its own;
// whatever it was, at the end nothing is left, and those whom it did not hit have not noticed.

#include <algorithm>
#include <boost/asio/error.hpp>
#include <set>
#include <string>
#include <vector>

#include "beast/support/chat.hpp"
#include "beast/support/chat_check.hpp"

using namespace roost;
using namespace roost::test;

namespace {

namespace net_error = boost::asio::error;

const Chat::Record& reference() {
  static const Chat::Record record = Chat().play();
  return record;
}

/// Plays a chat with one fault and compares. Stops at the first that is not as it must be.
template <class Compare>
void play(const Fault& fault, Compare compare) {
  CAPTURE(fault);
  const Chat::Record run = Chat(fault).play();
  ChatCheck check(reference(), run);
  if (!run.was_hit) check.problems.emplace_back("the call did not come");
  compare(check);
  if (check.problems.empty()) return;  // assertions take time: there are thousands of runs
  REQUIRE(check.problems == std::vector<std::string>());
}

std::string name_of(const Point& point) { return reference().clients[point.connection].name(); }

/// How a call of the system may fail.
std::vector<boost::system::error_code> errors_of(Io io) {
  switch (io) {
    case Io::open: return {net_error::connection_reset, net_error::eof, net_error::timed_out};
    case Io::read:
      return {net_error::connection_reset, net_error::eof, net_error::timed_out,
              net_error::operation_aborted};
    case Io::write_some: return {net_error::broken_pipe, net_error::connection_reset};
    case Io::write:
      return {net_error::broken_pipe, net_error::connection_reset, net_error::operation_aborted};
    case Io::shutdown: return {net_error::not_connected, net_error::broken_pipe};
  }
  return {};
}

}  // namespace

TEST_CASE("sweep: a chat in which nothing goes wrong has it all, and is the same each time") {
  const Chat::Record& run = reference();
  CHECK(run.problems == std::vector<std::string>());
  CHECK(run.saw_blocked);
  for (std::size_t i = 0; i < run.clients.size(); ++i) {
    CAPTURE(i);
    CHECK(run.clients[i].error().empty());
    CHECK(run.clients[i].end() == (run.clients[i].name() == "carol" ? "vanished" : "end"));
    for (const Io io : {Io::open, Io::read, Io::write_some}) {
      CHECK(std::count_if(run.calls.begin(), run.calls.end(), [&](const Point& call) {
              return call.connection == i && call.io == io;
            }) > 0);
    }
  }
  for (const Io io : {Io::write, Io::shutdown}) {
    CHECK(std::count_if(run.calls.begin(), run.calls.end(),
                        [&](const Point& call) { return call.io == io; }) >= 3);
  }
  CHECK(run.received.at("carol").size() == 3);
  CHECK(run.outcomes.size() == 4);
  CHECK(run.hooks == run.outcomes);
  const std::vector<std::string>& carol = run.clients.at(2).lines();
  REQUIRE(carol.size() == 11);
  CHECK(carol.at(8) == "pong while it does not read");  // before what waited for it to read
  CHECK(run.clients.at(0).lines().back() == "close 1000 ");
  CHECK(run.clients.at(4).lines().back() == "close 1009 ");

  const Chat::Record again = Chat().play();
  ChatCheck check(run, again);
  check.nobody_notices();
  CHECK(check.problems == std::vector<std::string>());
  CHECK(again.calls.size() == run.calls.size());
}

TEST_CASE("sweep: a call fails, and one connection ends") {
  for (const Point& point : reference().calls) {
    for (const Action action : {Action::fail, Action::fail_late, Action::reset}) {
      for (const auto& error : errors_of(point.io)) {
        if (action == Action::reset && error != errors_of(point.io).front()) continue;
        play({.at = point, .action = action, .error = error}, [&](ChatCheck& check) {
          check.others_do_not_notice({name_of(point)});
          // A peer that sends no more may still read: what is queued leaves, without the answers to
          // what it has not sent.
          if (error == net_error::eof) return;
          check.is_given_up();
          check.bytes_stop_early({name_of(point)});
        });
      }
    }
  }
}

TEST_CASE("sweep: a call completes after all others, and nobody notices") {
  for (const Point& point : reference().calls) {
    play({.at = point, .action = Action::hold}, [](ChatCheck& check) { check.nobody_notices(); });
  }
}

TEST_CASE("sweep: a call outlasts the deadlines, and one connection ends at the most") {
  for (const Point& point : reference().calls) {
    for (const Action action : {Action::hold_long, Action::hold_to_end}) {
      // Time does not pass only for the one that is hit: whoever is slow already is too slow then.
      std::set<std::string> affected{name_of(point)};
      if (action == Action::hold_long) affected.insert("carol");
      play({.at = point, .action = action}, [&](ChatCheck& check) {
        check.others_do_not_notice(affected, ChatCheck::Order::of_each_author);
        check.messages_stop_early(affected);
      });
    }
  }
}

TEST_CASE("sweep: a call moves its bytes in two portions, cut at every byte, and nobody notices") {
  for (const Point& point : reference().calls) {
    std::size_t first = 0;
    std::size_t end = point.bytes;
    if (point.io == Io::read) first = 1;  // no bytes would be the end
    if (point.io == Io::write) end = std::min(point.bytes, Chat::capacity) + 1;
    for (std::size_t bytes = first; bytes < end; ++bytes) {
      play({.at = point, .action = Action::split, .bytes = bytes},
           [](ChatCheck& check) { check.nobody_notices(); });
    }
  }
}

TEST_CASE("sweep: all is destroyed while a call is under way, and nothing is left") {
  for (const Point& point : reference().calls) {
    for (const Action action : {Action::tear_down, Action::tear_down_context}) {
      play({.at = point, .action = action}, [](ChatCheck& check) {
        check.bytes_stop_early({"alice", "bob", "carol", "dave", "erin"});
      });
    }
  }
}
