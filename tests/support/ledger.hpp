// SPDX-License-Identifier: MIT
// What one client that wants positions has seen of its rooms, over all its connections. It checks
// that each recorded message came once and in order, or that the client was told of a loss.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <roost/base/text/text.hpp>
#include <roost/manager/history/position_line.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::test {

/// A message as a client with positions gets it.
struct LinedMessage {
  std::string room = {};
  std::string position = {};
  std::vector<std::string> words = {};
  std::optional<std::string> payload = {};

  explicit LinedMessage(std::string_view message) {
    const std::size_t end = message.find('\n');
    if (end != std::string_view::npos) payload = message.substr(end + 1);
    std::string_view line = message.substr(0, end);
    for (std::size_t space = 0; (space = line.rfind(' ')) != std::string_view::npos;) {
      words.insert(words.begin(), std::string(line.substr(space + 1)));
      line = line.substr(0, space);
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) position = line.substr(colon + 1);
    room = detail::percent_decode(line.substr(0, colon)).value_or("not a room");
  }
  bool has(std::string_view word) const {
    for (const std::string& each : words) {
      if (each == word) return true;
    }
    return false;
  }
  /// Why something was lost; empty: nothing was.
  std::string lost() const {
    for (const std::string& word : words) {
      if (word.starts_with("lost=")) return word.substr(5);
    }
    return {};
  }
};

class Ledger {
 public:
  struct Room {
    std::string position;                // empty: unknown
    bool is_in = false;                  // told so on the present connection
    std::vector<std::string> sent = {};  // positions, on the present connection
    bool is_new = false;                 // it has also joined without one
    std::vector<std::string> payloads = {};
    std::vector<std::string> losses = {};
    std::size_t recovered = 0;
  };

  /// A new connection: what it sends to the server.
  std::string token() {
    std::string token;
    for (auto& [name, room] : rooms_) {
      room.is_in = false;
      room.sent.clear();
      room.is_new = room.position.empty();
      if (room.position.empty()) continue;
      room.sent.push_back(room.position);
      token += (token.empty() ? "" : ",") + detail::encode_room(name) + ":" + room.position;
    }
    return token;
  }
  /// Joins @p name with the position that it has there.
  std::optional<std::string> since(const std::string& name) {
    Room& room = rooms_[name];
    if (room.position.empty()) {
      room.is_new = true;
      return std::nullopt;
    }
    room.sent.push_back(room.position);
    return room.position;
  }

  void feed(std::string_view text) {
    const LinedMessage message(text);
    if (message.room.empty()) return;
    Room& room = rooms_[message.room];
    const std::string lost = message.lost();
    if (message.has("joined")) return joined(room, message, lost);
    if (message.has("left")) {
      room.is_in = false;
      return;
    }
    if (!room.is_in) problem("it is not in the room", text);
    if (!lost.empty()) return was_lost(room, message, lost);
    if (!message.position.empty()) recorded(room, message);
  }

  const Room& room(const std::string& name) { return rooms_[name]; }
  /// Empty if each message came once, in order, or a loss was told.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Place {
    std::string epoch;
    std::uint64_t number = 0;
  };
  static Place place(std::string_view position) {
    Place place{.epoch = std::string(position.substr(0, position.find('.')))};
    const std::string_view rest = position.substr(position.find('.') + 1);
    std::from_chars(rest.data(), rest.data() + rest.size(), place.number);
    return place;
  }

  void joined(Room& room, const LinedMessage& message, const std::string& lost) {
    if (room.is_in) problem("it was in the room already", message.room);
    room.is_in = true;
    const bool is_recovered = message.has("recovered");
    if (!room.sent.empty() && !room.is_new && !is_recovered && lost.empty()) {
      problem("no verdict", message.room);
    }
    if (is_recovered) {
      ++room.recovered;
      if (std::find(room.sent.begin(), room.sent.end(), message.position) == room.sent.end()) {
        problem("recovered at a position that it has not sent", message.position);
      }
    }
    if (!lost.empty()) room.losses.push_back(lost);
    // Also where it was further by the time the server had its position.
    room.position = message.position;
  }
  void was_lost(Room& room, const LinedMessage& message, const std::string& lost) {
    if (room.is_in && !room.position.empty() && lost != "epoch") {
      const Place from = place(room.position);
      const Place to = place(message.position);
      if (from.epoch == to.epoch && to.number < from.number) {
        problem("a loss of what it has: " + room.position, message.position);
      }
    }
    room.losses.push_back(lost);
    room.position = message.position;
  }
  void recorded(Room& room, const LinedMessage& message) {
    const Place now = place(message.position);
    if (!room.position.empty()) {
      const Place before = place(room.position);
      if (now.epoch != before.epoch || now.number != before.number + 1) {
        problem("not the next of " + room.position, message.position);
      }
    }
    room.position = message.position;
    room.payloads.push_back(message.payload.value_or(""));
  }
  void problem(const std::string& what, std::string_view at) {
    problems_.push_back(what + ": " + std::string(at));
  }

  std::map<std::string, Room> rooms_;
  std::vector<std::string> problems_;
};

}  // namespace roost::test
