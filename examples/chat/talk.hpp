// Serves one member, from the welcome to the last message.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <string>
#include <string_view>

#include "replicas.hpp"
#include "roster.hpp"

using Manager = Replicas::Service::Manager;
using Member = Manager::ConnectionPtr;

// Each text is sent on as a JSON string, in which one byte can take six. With this limit the JSON
// stays below 1 MiB, which many client libraries accept at most by default. A client that sends a
// longer text is closed with 1009.
inline constexpr std::size_t max_message_bytes = 160 * 1024;
inline constexpr std::size_t max_name_bytes = 160;  // the page allows 40 characters
inline constexpr std::size_t max_key_bytes = 64;
inline constexpr std::size_t max_names_bytes =
    6 * (255 + max_name_bytes + max_key_bytes) + 256;  // 255 for the user, 256 for the rest
// The line in front of a message holds the room, percent-encoded, and a position.
inline constexpr std::size_t max_line_bytes = 3 * 255 + 64;
static_assert(6 * max_message_bytes + max_names_bytes + max_line_bytes <= 1'048'576);

// The subprotocol of the page. In it each message begins with a line that holds a key, and the
// server confirms the message with that key. An empty text only asks whether the server still
// answers. Clients without the subprotocol send plain texts.
inline constexpr std::string_view keyed = "roost-chat";

struct Chat {
  Manager& manager;
  Replicas& replicas;
  const Roster& roster;
};

/// An event about one member, in the JSON that the page reads.
inline nlohmann::json event(std::string_view what, const Member& member) {
  return {{"event", what}, {"id", member->user()}, {"name", member->metadata()["name"]}};
}

// Sends a text to the other members. A page that got no confirmation sends the text again with the
// same key, by which the other pages recognise it.
inline boost::asio::awaitable<void> relay(const Chat& chat, const std::string& room, Member self,
                                          std::string_view text, std::string_view key) {
  nlohmann::json relayed = event("message", self);
  relayed["text"] = text;
  if (!key.empty()) relayed["key"] = key;
  co_await chat.replicas.send(relayed, {.room = room, .exclude = self->id()});
}

inline boost::asio::awaitable<void> relay_keyed(const Chat& chat, const std::string& room,
                                                Member self, std::string_view message) {
  const std::size_t end = message.find('\n');
  if (end > max_key_bytes) {  // also where there is no line end: `npos`
    co_await chat.manager.close(self->id(), roost::close_code::policy_violation, "a key is wanted");
    co_return;
  }
  const nlohmann::json arrived = {{"event", "arrived"}, {"key", message.substr(0, end)}};
  const std::string_view text = message.substr(end + 1);
  if (!text.empty()) co_await relay(chat, room, self, text, message.substr(0, end));
  co_await self->send_json(arrived);
}

// This is a coroutine of its own, so the list of members is freed when it has been sent and not
// when the member leaves.
inline boost::asio::awaitable<void> greet(const Chat& chat, const std::string& room, Member self) {
  nlohmann::json welcome = event("welcome", self);
  welcome["reachable"] = chat.replicas.are_reachable();
  chat.roster.add_to(welcome, room);
  co_await self->send_json(welcome);
}

inline boost::asio::awaitable<void> talk(const Chat& chat, const std::string& room, Member self,
                                         bool is_keyed) {
  co_await greet(chat, room, self);
  for (;;) {
    const roost::Message message = co_await chat.manager.receive(*self);
    if (!message.is_text) {
      co_await chat.replicas.send(message.bytes(), {.room = room, .exclude = self->id()});
    } else if (is_keyed) {
      co_await relay_keyed(chat, room, self, message.text());
    } else {
      co_await relay(chat, room, self, message.text(), {});
    }
  }
}
