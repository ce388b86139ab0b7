// SPDX-License-Identifier: MIT
#include "roost/manager/history/position_line.hpp"

#include <optional>
#include <string>

#include "catch.hpp"

namespace {

using namespace roost;
using namespace roost::detail;

TEST_CASE("a line names the room, percent-encoded, and the position") {
  CHECK(position_line("lobby", "e.1.m") == "lobby:e.1.m");
  CHECK(position_line("lobby", "") == "lobby");
  CHECK(position_line("", "") == "");
  CHECK(position_line("chat/a b", "") == "chat/a%20b");
  CHECK(position_line("a,b:c%d{\n\xC3\xA9", "") == "a%2Cb%3Ac%25d%7B%0A%C3%A9");
}

TEST_CASE("a line says what became of a client that joined, missed something or left") {
  CHECK(joined_line("lobby", "p", false, {}) == "lobby:p joined");
  CHECK(joined_line("lobby", "p", true, {}) == "lobby:p joined recovered");
  CHECK(joined_line("lobby", "p", false, LossReason::gone) == "lobby:p joined lost=gone");
  CHECK(joined_line("lobby", "", false, LossReason::unavailable) ==
        "lobby joined lost=unavailable");
  CHECK(lost_line("lobby", "p", LossReason::epoch) == "lobby:p lost=epoch");
  CHECK(left_line("a b") == "a%20b left");
}

TEST_CASE("a resume token gives the position of each room that it names") {
  const ResumeToken token("lobby:p1,chat%2Fa%2Cb:p2,lobby:p3");
  CHECK(token.since("lobby") == "p3");  // the last counts
  CHECK(token.since("chat/a,b") == "p2");
  CHECK(token.since("other") == std::nullopt);
  CHECK(ResumeToken("").since("lobby") == std::nullopt);
  CHECK(ResumeToken("lobby:").since("lobby") == "");
}

TEST_CASE("a resume token with a part that cannot be read may have named any room") {
  for (const char* text : {"lobby", "%zz:p", ":p", ",", "a:p,,b:q", "a:p,lobby"}) {
    INFO(text);
    CHECK(ResumeToken(text).since("unknown") == "");
  }
  CHECK(ResumeToken("a:p,lobby").since("a") == "p");
}

TEST_CASE("a resume token is cut at its limits, and then may have named any room") {
  std::string rooms;
  for (int i = 0; i < 129; ++i) rooms += (i ? "," : "") + ("r" + std::to_string(i)) + ":p";
  const ResumeToken many(rooms);
  CHECK(many.since("r127") == "p");
  CHECK(many.since("r128") == "");
  const ResumeToken ok(rooms.substr(0, rooms.rfind(',')));
  CHECK(ok.since("r128") == std::nullopt);

  const ResumeToken longer("a:p,b:" + std::string(ResumeToken::max_bytes, 'x'));
  CHECK(longer.since("a") == "p");
  CHECK(longer.since("c") == "");
}

}  // namespace
