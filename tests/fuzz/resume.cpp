// SPDX-License-Identifier: MIT
// What a client sends when it comes back: it is understood, or the client is told that it is not;
// and nobody gets a message that their position does not entitle them to skip to.
#include <roost/backplane/local/local_hub.hpp>
#include <roost/manager/history/position_line.hpp>
#include <roost/testing/manual_clock.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

using detail::HistoryNews, detail::HubHistory, detail::ResumeToken;

void position(std::string_view text) {
  const auto parsed = detail::parse_position(text);
  if (!parsed) return;
  expect(detail::to_string(*parsed) == text, "two texts are one position");
  expect(text.size() <= detail::Position::max_length, "a position is too long");
}

void token(std::string_view text) {
  const ResumeToken token(text);
  const std::size_t end = std::min({text.find(':'), text.find(','), text.size()});
  for (const std::string_view room : {std::string_view("lobby"), text.substr(0, end)}) {
    const auto since = token.since(room);
    expect(!since || since->empty() || text.find(*since) != text.npos, "a position of nowhere");
  }
}

/// Any room and any position come back as they went out, among others and on a line.
void round_trip(std::string_view room, std::string_view at) {
  const std::string encoded = detail::encode_room(room);
  expect(encoded.find_first_of(",: \n") == encoded.npos, "a room breaks its line");
  if (room.empty() || at.find(',') != at.npos) return;
  std::string text = "other:1,";
  text.append(encoded).append(":").append(at).append(",another:2");
  if (text.size() > ResumeToken::max_bytes) return;
  const ResumeToken token(text);
  const auto since = token.since(room);
  expect(room == "another" || since == at, "a position is lost on its way");
}

struct Hub {
  testing::ManualClock clock;
  HubHistory history{{.rules = {{.rooms = "*", .max_messages = 4}}}, clock};
  std::vector<std::string> positions;  ///< After each message.
  std::vector<std::shared_ptr<detail::Parcel>> kept;

  void say() {
    kept.push_back(std::make_shared<detail::Parcel>(R"({"kind":"text","payload":"x","room":"r"})"));
    history.record("channel", "r", kept.back());
    positions.push_back(kept.back()->position());
  }
  [[nodiscard]] HistoryNews ask(std::string_view since) {
    return history.recover("channel", "r", {{.ticket = 1, .since = std::string(since)}});
  }
};

/// A client that is told `recovered` has sent a position of this history, and gets what came after
/// it.
void judge(Hub& hub, const std::string& since) {
  const HistoryNews news = hub.ask(since);
  expect(news.verdicts.size() == 1, "not one verdict");
  const detail::RecoveryVerdict& verdict = news.verdicts.front();
  expect(verdict.first <= news.messages.size(), "a message that is not there");
  expect(detail::parse_position(verdict.position).has_value(), "what is told is no position");
  expect(verdict.is_recovered != verdict.lost.has_value(), "neither recovered nor lost");
  if (!verdict.is_recovered) {
    expect(verdict.first == news.messages.size(), "who has lost something gets messages of before");
    expect(!hub.positions.empty() && verdict.position == hub.positions.back(), "it is elsewhere");
    return;
  }
  expect(verdict.position == since, "the position is another");
  const auto known = std::find(hub.positions.begin(), hub.positions.end(), since);
  const auto missed = static_cast<std::size_t>(hub.positions.end() - known);
  const std::size_t replayed = news.messages.size() - verdict.first;
  expect(known != hub.positions.end() && replayed == missed - 1, "recovered wrongly");
  for (std::size_t i = 0; i < replayed; ++i) {
    const auto& parcel = hub.kept[hub.kept.size() - replayed + i];
    expect(news.messages[verdict.first + i] == parcel, "another message");
  }
}

void history(Input& input) {
  Hub hub;
  const std::size_t messages = 1 + input.below(8);
  for (std::size_t i = 0; i < messages; ++i) hub.say();
  judge(hub, std::string(input.rest()));
  // A true position, of which one character is another one.
  std::string since = hub.positions[input.below(messages)];
  if (input.flag()) since[input.below(since.size())] = static_cast<char>(input.byte());
  judge(hub, since);
  if (input.flag()) since += input.line();
  judge(hub, since);
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  position(input.rest());
  token(input.rest());
  history(input);
  const std::string_view room = input.line();
  round_trip(room, input.rest());
  return 0;
}
