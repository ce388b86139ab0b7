// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace load {

/// Keeps a number of messages outstanding in each room. A message is done when every member has
/// received it, the sender included; then another member sends the next.
///
/// Each message received must be, byte for byte, one that is outstanding in the room of its
/// receiver: so nothing is altered, strays into another room, or comes twice. A lost message stays
/// outstanding for ever. Knows no socket and no clock.
class ClosedLoop {
 public:
  using Nanoseconds = std::uint64_t;

  struct Sending {
    std::size_t connection;
    std::string_view payload;
  };
  struct Received {
    Nanoseconds latency;
    bool is_done;      ///< Every member has it now:
    std::size_t slot;  ///< this place is free.
  };

  static constexpr std::size_t min_bytes = 32;

  /// @param fillings  what payloads are made of, in turn; at least one, each of @p bytes
  ClosedLoop(std::size_t rooms, std::size_t in_flight, std::vector<std::string> fillings)
      : fillings_(std::move(fillings)), rooms_(rooms) {
    for (std::size_t i = 0; i < rooms; ++i) rooms_[i].slots.resize(in_flight);
  }

  void join(std::size_t room, std::size_t connection) {
    rooms_[room].members.push_back({connection, 0});
  }
  [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }
  [[nodiscard]] std::size_t in_flight() const noexcept { return rooms_.front().slots.size(); }
  /// Messages that are not done.
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }

  /// The next message of a free place.
  [[nodiscard]] Sending next(std::size_t room_index, std::size_t slot_index, Nanoseconds now) {
    Room& room = rooms_[room_index];
    Slot& slot = room.slots[slot_index];
    slot.payload = fillings_[(room.messages + 1) % fillings_.size()];
    char head[min_bytes];
    std::snprintf(head, sizeof head, "%04zx room %08zx no %08llx ", slot_index, room_index,
                  static_cast<unsigned long long>(++room.messages));
    slot.payload.replace(0, std::strlen(head), head);
    slot.sent_at = now;
    slot.missing = room.members.size();
    ++outstanding_;
    return {room.members[room.next_sender++ % room.members.size()].connection, slot.payload};
  }

  /// @param member  the how manieth member of the room got it
  /// @throws std::runtime_error  what is wrong with it
  Received receive(std::size_t room_index, std::size_t member, std::string_view payload,
                   Nanoseconds now) {
    Room& room = rooms_[room_index];
    const std::size_t index = slot_of(payload);
    if (index >= room.slots.size() || room.slots[index].missing == 0 ||
        room.slots[index].payload != payload) {
      throw std::runtime_error("room " + std::to_string(room_index) +
                               " got what is not outstanding there: " + describe(payload));
    }
    Slot& slot = room.slots[index];
    ++room.members[member].received;
    const bool is_done = --slot.missing == 0;
    if (is_done) --outstanding_;
    return {now - slot.sent_at, is_done, index};
  }

  /// At the end, when nothing is outstanding: that each member got each message once.
  void check() const {
    for (const Room& room : rooms_) {
      for (const Member& member : room.members) {
        if (member.received == room.messages) continue;
        throw std::runtime_error("a member got " + std::to_string(member.received) + " of " +
                                 std::to_string(room.messages) + " messages");
      }
    }
  }

  /// Which message misses how many members.
  [[nodiscard]] std::string describe_outstanding() const {
    for (const Room& room : rooms_) {
      for (const Slot& slot : room.slots) {
        if (slot.missing == 0) continue;
        return std::to_string(outstanding_) + " messages are outstanding; " +
               std::to_string(slot.missing) + " of " + std::to_string(room.members.size()) +
               " members miss " + describe(slot.payload);
      }
    }
    return "nothing is outstanding";
  }

 private:
  struct Slot {
    std::string payload;
    Nanoseconds sent_at = 0;
    std::size_t missing = 0;
  };
  struct Member {
    std::size_t connection;
    std::uint64_t received;
  };
  struct Room {
    std::vector<Member> members;
    std::vector<Slot> slots;
    std::uint64_t messages = 0;
    std::size_t next_sender = 0;
  };

  // A payload begins with its slot, four hexadecimal digits; past the end for anything else.
  static std::size_t slot_of(std::string_view payload) noexcept {
    std::size_t slot = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const char c = i < payload.size() ? payload[i] : '?';
      const bool is_digit = c >= '0' && c <= '9';
      if (!is_digit && (c < 'a' || c > 'f')) return SIZE_MAX;
      slot = slot << 4 | static_cast<std::size_t>(is_digit ? c - '0' : c - 'a' + 10);
    }
    return slot;
  }
  static std::string describe(std::string_view payload) {
    return std::to_string(payload.size()) + " bytes, \"" + std::string(payload.substr(0, 31)) + '"';
  }

  std::vector<std::string> fillings_;
  std::vector<Room> rooms_;
  std::size_t outstanding_ = 0;
};

}  // namespace load
