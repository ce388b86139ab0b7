// One member, from its welcome to its last message.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <string>
#include <string_view>

#include "replicas.hpp"
#include "roster.hpp"

// What is sent goes to the others in JSON, which has up to six bytes for one. So it is still below
// the 1 MiB that browsers' and Python's libraries accept by default; longer ones get a 1009.
inline constexpr std::size_t max_message_bytes = 160 * 1024;
inline constexpr std::size_t max_name_bytes = 160;  // the page allows 40 characters
inline constexpr std::size_t max_key_bytes = 64;
inline constexpr std::size_t max_names_bytes =
    6 * (max_name_bytes + max_key_bytes) + 256;  // and the rest
static_assert(6 * max_message_bytes + max_names_bytes <= 1'048'576);

// What the page speaks. Before each text it puts a line with a key, and is told by it that the text
// has arrived; an empty text only asks whether the server is there. Others just send text.
inline constexpr std::string_view keyed = "roost-chat";

struct Chat {
  Manager& manager;
  Replicas& replicas;
  const Roster& roster;
};

// To the others; a text that the page sends again, having seen no answer, is known by its key.
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
  if (end > max_key_bytes) {  // or there is none
    co_await chat.manager.close(self->id(), roost::close_code::policy_violation, "a key is wanted");
    co_return;
  }
  const nlohmann::json arrived = {{"event", "arrived"}, {"key", message.substr(0, end)}};
  const std::string_view text = message.substr(end + 1);
  if (!text.empty()) co_await relay(chat, room, self, text, message.substr(0, end));
  co_await self->send_json(arrived);
}

// A coroutine of its own: the list of members goes away with it, and not with the member.
inline boost::asio::awaitable<void> greet(const Chat& chat, const std::string& room, Member self) {
  const nlohmann::json welcome = chat.roster.welcome(self, room);
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
