// SPDX-License-Identifier: MIT
// Replicas with presence and their store, without any I/O: each call, answer and event is delivered
// when the schedule says so, or gets lost. At the end everybody must know the truth.
#pragma once

#include <roost/backplane/presence/presence_list.hpp>
#include <roost/backplane/presence/presence_rooms.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace roost::test {

using namespace std::chrono_literals;
using detail::OwnUsers;
using detail::PresenceAnswer;
using detail::PresenceCall;
using detail::PresenceEvent;
using detail::PresenceRooms;
using detail::PresenceTable;

/// What can happen in a world besides users who come and go.
struct PresenceTroubles {
  bool replicas_die = false;
  bool replicas_pause = false;
  bool links_break = false;
  bool events_vanish = false;
  bool store_fails_over = false;  ///< To an older state.
  bool rooms_are_large = false;   ///< They exceed `max_listed`.
};

class PresenceWorld {
 public:
  using Names = std::set<std::string>;

  PresenceWorld(std::uint64_t seed, PresenceTroubles troubles)
      : random_(seed), troubles_(troubles), table_(seed), old_table_(table_) {
    for (std::size_t i = 0; i < 3; ++i) replicas_.push_back(std::make_unique<Replica>(options()));
    for (const auto& replica : replicas_) replica->name = ++last_name_;
  }

  /// Plays a schedule. @returns what is wrong at its end; empty: nothing
  std::string play(int steps) {
    for (int i = 0; i < steps && fault_.empty(); ++i) step();
    if (fault_.empty()) settle();
    if (fault_.empty()) compare();
    return fault_;
  }

 private:
  using time_point = Clock::time_point;
  struct Answer {
    PresenceCall call;
    PresenceAnswer answer;
    bool is_failure = false;
  };
  struct Replica {
    explicit Replica(PresenceOptions options) : rooms(std::move(options)) {}

    PresenceRooms rooms;
    PresenceTable::Replica name = 0;
    bool is_dead = false;
    bool is_paused = false;
    bool is_buried = false;
    bool is_linked = true;
    time_point beaten = {};
    std::deque<PresenceCall> sent;
    std::deque<Answer> answers;
    std::deque<PresenceEvent> events;
    Names subscribed;
    std::map<std::pair<std::string, std::string>, int> members;  // room and user
    std::map<std::string, Names> told;
    std::map<std::string, std::size_t> told_counts;
  };

  static constexpr Clock::duration lease = 30s;

  PresenceOptions options() const {
    return {.rules = {{.rooms = "r*", .max_listed = troubles_.rooms_are_large ? 3u : 256u}}};
  }
  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  bool happens(double share) { return std::bernoulli_distribution(share)(random_); }
  std::string a_room() { return "r" + std::to_string(below(2)); }
  std::string a_user() { return "u" + std::to_string(below(6)); }

  void step() {
    now_ += std::chrono::milliseconds(below(4) == 0 ? below(9000) : below(200));
    Replica& one = *replicas_[below(replicas_.size())];
    for (const auto& replica : replicas_) beat(*replica);
    bury_the_dead();
    if (below(20) == 0) trouble(one);
    if (one.is_dead || one.is_paused) return;
    switch (below(8)) {
      case 0: join(one); break;
      case 1: part(one); break;
      case 2: below(6) < one.members.size() ? part(one) : join(one); break;
      case 3: send(one); break;
      case 4: run_call(one); break;
      case 5: take_answer(one); break;
      case 6: take_event(one); break;
      default: tell(one); break;
    }
  }

  void join(Replica& one) {
    const auto key = std::pair(a_room(), a_user());
    ++one.members[key];
    // Each user has one information, so that it does not matter who came first.
    one.rooms.enter(&one, key.first, key.second, "\"" + key.second + "\"");
    doors(one);
  }
  void part(Replica& one) {
    if (one.members.empty()) return;
    const auto found = std::next(one.members.begin(), static_cast<long>(below(one.members.size())));
    const auto key = found->first;
    if (--found->second == 0) one.members.erase(found);
    one.rooms.leave(&one, key.first, key.second, now_);
    doors(one);
  }
  void doors(Replica& one) {
    for (const auto& [room, is_open] : one.rooms.take_doors()) {
      one.told.erase(room);
      if (!is_open) {
        one.subscribed.erase(room);
        std::erase_if(one.events,
                      [&, &its = room](const auto& event) { return event.room == its; });
      } else if (one.is_linked) {
        one.subscribed.insert(room);
        one.rooms.subscribed(room);
      }
    }
  }
  void send(Replica& one) {
    if (!one.is_linked) return;
    for (PresenceCall& call : one.rooms.take_calls(now_)) one.sent.push_back(std::move(call));
  }
  void publish(const std::optional<PresenceEvent>& event) {
    if (!event) return;
    for (const auto& replica : replicas_) {
      if (!replica->subscribed.contains(event->room)) continue;
      if (troubles_.events_vanish && happens(0.02)) continue;
      replica->events.push_back(*event);
    }
  }
  std::optional<Answer> run(PresenceTable::Replica name, const PresenceCall& call) {
    const OwnUsers::Step& step = call.step;
    Answer answer{.call = call, .answer = {}};
    switch (call.kind) {
      case PresenceCall::Kind::enter:
        publish(table_.enter(name, step.room, step.user, step.info));
        break;
      case PresenceCall::Kind::leave: publish(table_.leave(name, step.room, step.user)); break;
      case PresenceCall::Kind::read:
        answer.answer = table_.read(name, step.room, call.max_listed);
        break;
    }
    return answer;
  }
  void run_call(Replica& one) {
    if (one.sent.empty()) return;
    const PresenceCall call = std::move(one.sent.front());
    one.sent.pop_front();
    one.answers.push_back(*run(one.name, call));
  }
  void take_answer(Replica& one) {
    if (one.answers.empty()) return;
    const Answer answer = std::move(one.answers.front());
    one.answers.pop_front();
    if (answer.is_failure) {
      one.rooms.failed(answer.call);
    } else if (answer.call.kind == PresenceCall::Kind::read) {
      one.rooms.answered(answer.call, answer.answer, now_);
    } else {
      one.rooms.done(answer.call);
    }
  }
  void take_event(Replica& one) {
    if (one.events.empty()) return;
    one.rooms.event(one.events.front());
    one.events.pop_front();
  }

  void tell(Replica& one) {
    for (const PresenceChange& change : one.rooms.take_changes(now_)) tell(one, change);
  }
  void tell(Replica& one, const PresenceChange& change) {
    Names& told = one.told[change.room];
    one.told_counts[change.room] = change.count;
    if (change.is_fresh || !change.is_listed) told.clear();
    for (const std::string& user : change.went) {
      if (told.erase(user) == 0) fault_ = user + " went twice from " + change.room;
    }
    for (const PresentUser& user : change.came) {
      if (!told.insert(user.user).second) fault_ = user.user + " came twice to " + change.room;
    }
    if (change.is_listed && told.size() != change.count) fault_ = "a wrong count of " + change.room;
  }

  // --- troubles ---

  void trouble(Replica& one) {
    const std::size_t kind = below(6);
    if (kind == 0 && troubles_.replicas_die && !one.is_dead && alive() > 1) {
      one.is_dead = true;
      one.members.clear();
      one.subscribed.clear();
      one.events.clear();
      one.answers.clear();  // what was sent may arrive yet
    } else if (kind == 1 && troubles_.replicas_pause && !one.is_dead) {
      one.is_paused = !one.is_paused;
      if (!one.is_paused) wake(one);
    } else if (kind == 2 && troubles_.links_break && !one.is_dead && !one.is_paused) {
      break_links(one);
    } else if (kind == 3 && troubles_.store_fails_over) {
      if (happens(0.5)) {
        old_table_ = table_;
      } else {
        fail_over();
      }
    } else if (kind == 4 && !one.is_linked && !one.is_paused && !one.is_dead) {
      link(one);
    } else if (kind == 5 && one.is_dead) {
      for (const PresenceCall& call : std::exchange(one.sent, {})) run(one.name, call);  // late
      names_to_clean_.insert(one.name);
    }
  }
  void break_links(Replica& one) {
    one.is_linked = false;
    one.subscribed.clear();
    one.events.clear();
    one.rooms.disconnected();
    // Of what was on its way, some is done and some is not, and nobody knows.
    for (const Answer& answer : std::exchange(one.answers, {})) one.rooms.failed(answer.call);
    bool is_done = true;
    for (const PresenceCall& call : std::exchange(one.sent, {})) {
      is_done = is_done && happens(0.5);
      if (is_done) run(one.name, call);
      one.rooms.failed(call);
    }
  }
  void link(Replica& one) {
    one.is_linked = true;
    one.rooms.renew();
    if (one.is_buried) {
      one.is_buried = false;
      one.name = ++last_name_;
      one.rooms.begin_anew();
    }
    Names open;
    for (const auto& [key, count] : one.members) open.insert(key.first);
    for (const std::string& room : open) {
      one.subscribed.insert(room);
      one.rooms.subscribed(room);
    }
    std::map<std::string, std::vector<std::string>> held;
    for (const auto& [room, user] : table_.held_by(one.name)) held[room].push_back(user);
    for (const auto& [room, users] : held) one.rooms.held(room, users);
  }
  void wake(Replica& one) {
    if (one.is_buried && one.is_linked) {  // its zombie commands arrive, then it learns the truth
      for (const PresenceCall& call : one.sent) run(one.name, call);
      names_to_clean_.insert(one.name);
      break_links(one);
    }
    if (!one.is_linked) link(one);
  }
  void fail_over() {
    table_ = old_table_;
    for (const auto& replica : replicas_) {
      if (replica->is_dead || replica->is_paused) {
        replica->sent.clear();
        if (replica->is_dead) continue;
      }
      if (replica->is_linked) break_links(*replica);
      if (!replica->is_paused) link(*replica);
    }
    for (PresenceTable::Replica name : buried_) names_to_clean_.insert(name);
  }
  void beat(Replica& one) {
    if (one.is_dead || one.is_paused) return;
    one.beaten = now_;
  }
  void bury_the_dead() {
    for (const auto& replica : replicas_) {
      if (now_ - replica->beaten <= lease) continue;
      if (!std::exchange(replica->is_buried, true)) {
        buried_.insert(replica->name);
        names_to_clean_.insert(replica->name);
      }
    }
    for (PresenceTable::Replica name : std::exchange(names_to_clean_, {})) {
      if (!buried_.contains(name)) continue;
      for (const auto& [room, user] : table_.held_by(name)) publish(table_.leave(name, room, user));
    }
  }
  std::size_t alive() const {
    std::size_t count = 0;
    for (const auto& replica : replicas_) count += replica->is_dead ? 0 : 1;
    return count;
  }

  // --- the end ---

  void settle() {
    for (const auto& replica : replicas_) {
      if (replica->is_dead) {
        for (const PresenceCall& call : std::exchange(replica->sent, {})) run(replica->name, call);
      } else if (std::exchange(replica->is_paused, false)) {
        replica->beaten = now_;
        wake(*replica);
      } else if (!replica->is_linked) {
        link(*replica);
      }
    }
    troubles_.events_vanish = false;
    for (int round = 0; round < 40 && fault_.empty(); ++round) {
      now_ += 5s;
      for (const auto& replica : replicas_) beat(*replica);
      for (PresenceTable::Replica name : buried_) names_to_clean_.insert(name);
      bury_the_dead();
      for (const auto& replica : replicas_) {
        if (!replica->is_dead) work_off(*replica);
      }
    }
  }
  void work_off(Replica& one) {
    one.rooms.retry();
    for (int i = 0; i < 5; ++i) {
      send(one);
      while (!one.sent.empty()) run_call(one);
      while (!one.answers.empty()) take_answer(one);
      while (!one.events.empty()) take_event(one);
      tell(one);
    }
  }
  void compare() {
    std::map<std::string, Names> truth;
    for (const auto& replica : replicas_) {
      for (const auto& [key, count] : replica->members) truth[key.first].insert(key.second);
    }
    for (const std::string room : {"r0", "r1"}) {
      const PresenceAnswer stored = table_.read(0, room, 1000);
      Names names;
      for (const auto& entry : stored.entries) names.insert(entry.user);
      if (names != truth[room]) fault_ = "the store is wrong about " + room;
      for (const auto& replica : replicas_) compare(*replica, room, truth[room]);
    }
  }
  void compare(Replica& one, const std::string& room, const Names& truth) {
    const bool is_open =
        std::any_of(one.members.begin(), one.members.end(),
                    [&](const auto& member) { return member.first.first == room; });
    if (one.is_dead || !is_open) return;
    const std::optional<Presence> present = one.rooms.present(room);
    if (!present) return void(fault_ = "no list of " + room);
    if (present->count != truth.size()) fault_ = "a wrong number in " + room;
    if (one.told_counts[room] != truth.size()) fault_ = "a wrong number was told of " + room;
    if (!present->is_listed) return;
    Names names;
    for (const PresentUser& user : present->users) names.insert(user.user);
    if (names != truth) fault_ = "a wrong list of " + room;
    if (one.told[room] != truth) fault_ = "came - went is not the list of " + room;
  }

  std::mt19937_64 random_;
  PresenceTroubles troubles_;
  time_point now_ = time_point(1h);
  PresenceTable table_;
  PresenceTable old_table_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::set<PresenceTable::Replica> names_to_clean_;
  std::set<PresenceTable::Replica> buried_;
  PresenceTable::Replica last_name_ = 0;
  std::string fault_;
};

}  // namespace roost::test
