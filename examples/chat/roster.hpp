// Who is in the rooms of this replica, and telling the members who joins and leaves. This traffic
// must not grow with the square of a room's members. So a member is told the first 100 names and
// the number of the others. When many join or leave, it is told about all of them twice a second.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "replicas.hpp"
#include "room.hpp"

class Roster {
 public:
  Roster(boost::asio::io_context& context, Manager& manager, Replicas& replicas)
      : context_(context), manager_(manager), replicas_(replicas) {
    std::random_device random;
    for (int i = 0; i < 16; ++i) replica_ += "0123456789abcdef"[random() % 16];
    manager.on_joined([this](Member member, std::string_view room) { join(member, room); });
    manager.on_left([this](Member member, std::string_view room) { leave(member, room); });
  }

  /// The first event that a member gets: who is in the room, on this replica.
  [[nodiscard]] nlohmann::json welcome(const Member& self, const std::string& name) const {
    const auto found = rooms_.find(name);
    const Room nobody;
    const Room& room = found == rooms_.end() ? nobody : found->second.room;
    nlohmann::json welcome = event("welcome", self);
    welcome["reachable"] = replicas_.are_reachable();
    welcome["replica"] = replica_;
    welcome["members"] = identities(room.named());
    welcome["more"] = room.more();
    return welcome;
  }

 private:
  static constexpr std::chrono::milliseconds pause{500};

  struct Entry {
    explicit Entry(boost::asio::io_context& context) : timer(context) {}
    Room room;
    bool is_paused = false;
    boost::asio::steady_timer timer;
  };

  void join(const Member& member, std::string_view name) {
    Entry& entry = rooms_.try_emplace(std::string(name), context_).first->second;
    if (entry.room.join(member)) {
      replicas_.post(event("joined", member), {.room = name, .exclude = member->id()});
    }
    begin_pause(entry, name);
  }

  void leave(const Member& member, std::string_view name) {
    const auto found = rooms_.find(std::string(name));
    if (found == rooms_.end()) return;
    Entry& entry = found->second;
    const bool is_told = entry.room.leave(member, [&] { return manager_.members(name); });
    if (replicas_.is_alone() && entry.room.empty()) {  // nobody is left to be told
      rooms_.erase(found);
      return;
    }
    if (replicas_.is_alone() && manager_.is_draining()) return;  // everybody leaves
    if (is_told) replicas_.post(event("left", member), {.room = name});
    begin_pause(entry, name);
  }

  void begin_pause(Entry& entry, std::string_view name) {
    if (entry.is_paused) return;
    entry.is_paused = true;
    entry.timer.expires_after(pause);
    entry.timer.async_wait([this, name = std::string(name)](boost::system::error_code error) {
      if (!error) tell(name);
    });
  }

  /// After the pause, tells all changes that happened in it as one event.
  void tell(const std::string& name) {
    const auto found = rooms_.find(name);
    if (found == rooms_.end()) return;
    Entry& entry = found->second;
    entry.is_paused = false;
    nlohmann::json changes = entry.room.take_changes();
    if (!changes.is_null()) {
      changes["replica"] = replica_;
      replicas_.post(changes, {.room = name});
    }
    if (entry.room.empty()) {
      rooms_.erase(found);
    } else if (!changes.is_null()) {
      begin_pause(entry, name);
    }
  }

  boost::asio::io_context& context_;
  Manager& manager_;
  Replicas& replicas_;
  std::string replica_;  // a random id, so that a page can add up the counts of all replicas
  std::map<std::string, Entry> rooms_;
};
