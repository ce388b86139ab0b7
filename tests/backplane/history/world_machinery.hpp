// SPDX-License-Identifier: MIT
// The servers, replicas and links of a random world.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backplane/history/world_parts.hpp"

namespace roost::test {

/// Servers, replicas and their links: what happens where, and when nothing goes wrong.
template <class LogRules>
class WorldMachinery : protected WorldParts<LogRules> {
 protected:
  using Parts = WorldParts<LogRules>;
  using typename Parts::Answer, typename Parts::Came, typename Parts::Client;
  using typename Parts::Command, typename Parts::Effect, typename Parts::Entry;
  using typename Parts::Link, typename Parts::LinkName, typename Parts::Log;
  using typename Parts::Replica, typename Parts::Reply, typename Parts::Room;
  using typename Parts::Sent, typename Parts::Server, typename Parts::Store;
  using Item = typename Client::Item;
  using LinkPtr = std::shared_ptr<Link>;

  WorldMachinery(WorldKind its_kind, std::uint64_t its_seed, DriverRules driver_rules,
                 LogRules log_rules, std::string* trace)
      : kind(its_kind),
        dice(its_seed * 16 + static_cast<std::uint64_t>(its_kind)),
        rules(driver_rules),
        log_rules_(log_rules),
        trace_(trace) {
    const bool keeps_all = kind == WorldKind::calm || kind == WorldKind::clean;
    const bool may_keep_all = kind == WorldKind::failover || kind == WorldKind::split;
    rule.max_messages = 1'000'000;
    if (!keeps_all && !(may_keep_all && dice.one_in(2))) rule.max_messages = 6;
    if (kind == WorldKind::ages) {
      rule.max_age = std::chrono::seconds(40);
      has_lost = true;
    }
    per_read = dice.one_in(2) ? 2 : 64;
    held_bytes = std::array<std::size_t, 3>{2, 6, 1000}[dice.below(3)];
    memory_bytes = std::array<std::size_t, 3>{0, 5, 1000}[dice.below(3)];
    servers[0].name = "P0";
    servers[1].name = "P1";
    current->is_primary = true;
    for (int i = 0; i < 3; ++i) replicas.push_back(std::make_unique<Replica>(i, memory_bytes));
  }

  // --- what the checks look at ---

  template <class Text>
  void note(const Text& text) {
    if (trace_) *trace_ += std::to_string(step_count) + "  " + text() + '\n';
  }
  void wrong(const std::string& what, const std::string& why) {
    note([&] { return "!! " + what + ": " + why; });
    faults.push_back({what, why + " (step " + std::to_string(step_count) + ")"});
  }
  static std::string text(const Position& at) { return detail::to_string(at); }
  void count_work() {
    if (++work > 200'000) throw std::runtime_error("the questions never end");
  }

  // --- a server ---

  typename Store::Limits limits() const { return {rule, std::chrono::seconds(120)}; }
  Server& other(Server& server) { return &server == &servers[0] ? servers[1] : servers[0]; }

  void publish(Server& server, std::size_t room, const Came& push) {
    for (Link* link : server.subscribers[room]) link->back.push_back(push);
    server.stream.push_back({.room = room, .push = push});
  }
  void wrote(Server& server, std::size_t room) {
    server.stream.push_back({.state = server.rooms[room], .room = room});
  }

  Came execute(Link& link, const Sent& sent) {
    Server& server = *link.server;
    Came came{.to = sent};
    if (sent.kind == Command::subscribe) {
      auto& links = server.subscribers[sent.room];
      if (std::ranges::find(links, &link) == links.end()) links.push_back(&link);
      came.kind = Reply::subscribed;
    } else if (!server.is_primary) {
      came.kind = Reply::readonly;
    } else if (sent.kind == Command::beat) {
      came.kind = Reply::beat;
    } else if (server.is_full &&
               (sent.kind != Command::read || !server.rooms[sent.room].has_position())) {
      came.kind = Reply::refused;
    } else {
      execute_script(server, sent, came);
    }
    return came;
  }

  void execute_script(Server& server, const Sent& sent, Came& came) {
    Store& log = server.rooms[sent.room];
    const Epoch epoch = Epoch::random(dice);
    const Mark mark = Mark::random(dice);
    const bool was_forked =
        sent.kind == Command::fork && log.has_position() && log.position().epoch == sent.epoch;
    if (sent.kind == Command::record) {
      came.kind = Reply::recorded;
      came.entry =
          log.record({.mark = mark, .bytes = 1, .payload = sent.message}, epoch, limits(), now);
      recorded(sent, log.position());
    } else if (sent.kind == Command::read) {
      came.kind = Reply::answer;
      came.answer = log.read(sent.since, epoch, mark, per_read, limits(), now);
    } else {
      came.kind = Reply::forked;
      log.fork(sent.epoch, epoch, mark, limits(), now);
    }
    came.at = log.position();
    births.try_emplace({sent.room, text(came.at)}, step_count);
    wrote(server, sent.room);
    if (sent.kind == Command::record) {
      publish(server, sent.room,
              {.kind = Reply::message, .to = sent, .at = came.at, .entry = came.entry});
    }
    if (was_forked) {
      ++stats.forks;
      if (!has_lost) wrong("nothing", "a fork where nothing was lost");
      publish(server, sent.room, {.kind = Reply::news, .to = sent, .at = came.at});
    }
  }

  void recorded(const Sent& sent, const Position& at) {
    if (!records.try_emplace(sent.message, Record{sent.room, step_count}).second && !has_lost) {
      wrong("twice",
            "message " + std::to_string(sent.message) + " is recorded twice, at " + text(at));
    }
  }

  void replicate(std::size_t count) {
    if (is_split) return;
    for (; count > 0 && !current->stream.empty(); --count) {
      const Effect effect = std::move(current->stream.front());
      current->stream.pop_front();
      Server& copy = other(*current);
      if (effect.state) {
        copy.rooms[effect.room] = *effect.state;
      } else {
        for (Link* link : copy.subscribers[effect.room]) link->back.push_back(effect.push);
      }
    }
  }

  // --- the links of a replica ---

  void send(Replica& replica, LinkName name, Sent sent) {
    if (replica.links[name]) replica.links[name]->out.push_back(std::move(sent));
  }

  void connect(Replica& replica, std::size_t name, Server& server) {
    note([&] {
      return "R" + std::to_string(replica.id) + " connects " + std::to_string(name) + " to " +
             server.name;
    });
    replica.links[name] = std::make_shared<Link>(Link{.server = &server});
    for (std::size_t room = 0; room < world_rooms; ++room) {
      if (!replica.rooms[room]) continue;
      if (name == Parts::subscriber) subscribe(replica, room);
      if (name == Parts::store)
        with_log(replica, room, [](Log& log, auto& sink) { log.ask(sink); });
    }
    if (name == Parts::publisher) pump(replica);
  }

  void subscribe(Replica& replica, std::size_t room) {
    if (!replica.links[Parts::subscriber]) return;
    send(replica, Parts::subscriber, {.kind = Command::subscribe, .room = room});
    if (!rules.asks_after_ack)
      with_log(replica, room, [](Log& log, auto& sink) { log.subscribed(sink); });
  }

  void pump(Replica& replica) {
    while (replica.links[Parts::publisher] && !replica.spool.empty() && replica.refused.empty()) {
      replica.flight.push_back(replica.spool.front());
      send(replica, Parts::publisher, replica.spool.front());
      replica.spool.pop_front();
    }
  }

  void lose_link(Replica& replica, std::size_t name) {
    const LinkPtr link = std::exchange(replica.links[name], nullptr);
    if (!link) return;
    note([&] { return "R" + std::to_string(replica.id) + " loses link " + std::to_string(name); });
    link->server->unsubscribe(link.get());
    if (name == Parts::subscriber) {
      for (auto& room : replica.rooms) {
        if (room) room->log.disconnected();
      }
    }
    if (name == Parts::publisher) {
      replica.flight.clear();  // the outcome is unknown
      replica.spool.insert(replica.spool.begin(), replica.refused.begin(), replica.refused.end());
      replica.refused.clear();
    }
    if (rules.links_go_together) lose_all(replica);
  }
  void lose_all(Replica& replica) {
    for (std::size_t name = 0; name < 3; ++name) lose_link(replica, name);
  }

  // --- what comes ---

  void receive(Replica& replica, std::size_t name) {
    const LinkPtr link = replica.links[name];
    const Came came = std::move(link->back.front());
    link->back.pop_front();
    count_work();
    note([&] {
      return "R" + std::to_string(replica.id) + '.' + std::to_string(name) + " <- " +
             describe(came);
    });
    const std::size_t room = came.to.room;
    switch (came.kind) {
      case Reply::recorded: acknowledged(replica, came); break;
      case Reply::readonly: refused(replica, name, came); break;
      case Reply::refused:
        if (name == Parts::publisher && !replica.flight.empty()) replica.flight.pop_front();
        break;
      case Reply::beat: break;
      default:
        if (replica.rooms[room])
          with_log(replica, room, [&](Log& log, auto& sink) { hand_over(log, came, sink); });
    }
  }

  template <class Sink>
  void hand_over(Log& log, const Came& came, Sink& sink) {
    if (came.kind == Reply::subscribed && rules.asks_after_ack) log.subscribed(sink);
    if (came.kind == Reply::message) log.received(came.at.epoch, came.entry, sink);
    if (came.kind == Reply::news) log.told(came.at.epoch, sink);
    if (came.kind == Reply::answer) log.answered(came.to.question, came.answer, sink);
    if (came.kind == Reply::forked) log.forked(came.to.question, came.at, sink);
  }

  void acknowledged(Replica& replica, const Came& came) {
    if (!replica.flight.empty() && replica.flight.front().message == came.to.message)
      replica.flight.pop_front();
    acked.emplace(came.to.message, came.to.room);
    if (!replica.refused.empty() && replica.flight.empty()) lose_all(replica);
  }

  // By a copy. Nothing more is sent, what was sent before is waited for, then the links go.
  void refused(Replica& replica, std::size_t name, const Came& came) {
    if (name == Parts::publisher && came.to.kind == Command::record) {
      if (!replica.flight.empty() && replica.flight.front().message == came.to.message) {
        replica.refused.push_back(replica.flight.front());
        replica.flight.pop_front();
      }
      if (rules.reads_on && !replica.flight.empty()) return;
      replica.refused.insert(replica.refused.end(), replica.flight.begin(), replica.flight.end());
      replica.flight.clear();
    }
    lose_all(replica);
  }

  static std::string describe(const Came& came) {
    static constexpr std::array names{"subscribed", "recorded", "answer",  "forked", "readonly",
                                      "refused",    "beat",     "message", "news"};
    std::string text = names[static_cast<std::size_t>(came.kind)];
    text += " room " + std::to_string(came.to.room) + " q" + std::to_string(came.to.question);
    if (came.to.since) text += " since " + std::to_string(*came.to.since);
    if (came.kind == Reply::answer) text += " top " + detail::to_string(came.answer.top);
    for (const Entry& entry : came.answer.entries) text += ' ' + std::to_string(entry.number);
    if (came.kind != Reply::answer) text += ' ' + detail::to_string(came.at);
    if (came.kind == Reply::message) text += " after " + std::string(came.entry.before.view());
    return text;
  }

  // --- a room log ---

  class Sink final : public Log::Sink {
   public:
    Sink(WorldMachinery& world, Replica& replica, std::size_t room)
        : world_(world), replica_(replica), room_(room) {}

    void dispatch(const Position& at, const Entry& entry) override {
      for (Client* client : members()) give(*client, at, entry);
    }
    void lost(const Position& at, Lost why) override {
      world_.note([&] { return "R" + std::to_string(replica_.id) + " lost, now at " + text(at); });
      ++world_.stats.lost;
      world_.explain(why, "a room log");
      for (Client* client : members()) {
        client->inbox.push_back({.kind = Item::Kind::lost, .room = room_, .at = at, .why = why});
      }
    }
    void joined(std::uint64_t member, const typename Log::Joined& how) override {
      Client& client = *world_.clients[static_cast<std::size_t>(member)];
      ++(how.is_recovered ? world_.stats.recovered
         : how.lost       ? world_.stats.refused
                          : world_.stats.joined);
      if (how.lost == Lost::unavailable) ++world_.stats.unavailable;
      if (how.lost) world_.explain(*how.lost, "a client that came back");
      client.inbox.push_back({.kind = Item::Kind::joined,
                              .room = room_,
                              .at = how.at,
                              .is_recovered = how.is_recovered,
                              .why = how.lost});
      Position at = how.at;
      for (const Entry& entry : how.replay) {
        at = entry.at(replica_.rooms[room_]->log.position()->epoch);
        give(client, at, entry);
        ++world_.stats.replayed;
      }
      const auto& position = replica_.rooms[room_]->log.position();
      if (!how.lost && at != *position)
        world_.wrong("hole", "the replay ends at " + text(at) + ", not at " + text(*position));
      replica_.rooms[room_]->members.push_back(&client);
    }
    void ask(const typename Log::Question& question) override {
      ++world_.stats.questions;
      world_.count_work();
      Sent sent{.kind = question.fork ? Command::fork : Command::read,
                .room = room_,
                .question = question.id,
                .since = question.since};
      if (question.fork) sent.epoch = *question.fork;
      world_.send(replica_, Parts::store, sent);
    }

   private:
    std::vector<Client*>& members() { return replica_.rooms[room_]->members; }
    void give(Client& client, const Position& at, const Entry& entry) {
      client.inbox.push_back({.kind = Item::Kind::message,
                              .room = room_,
                              .at = at,
                              .before = entry.before,
                              .message = entry.payload});
    }

    WorldMachinery& world_;
    Replica& replica_;
    const std::size_t room_;
  };

  template <class Act>
  void with_log(Replica& replica, std::size_t room, const Act& act) {
    Sink sink(*this, replica, room);
    act(replica.rooms[room]->log, sink);
  }

  // Each loss must be explained by something that happened to the store.
  void explain(Lost why, const char* whose) {
    const bool is_trimmed = rule.max_messages < 1000 && why == Lost::gone;
    if (has_lost || is_trimmed) return;
    static constexpr std::array names{"epoch", "gone", "unavailable", "malformed"};
    wrong("nothing", std::string("lost=") + names[static_cast<std::size_t>(why)] + " for " + whose +
                         " where nothing was lost");
  }

  struct Record {
    std::size_t room;
    int step;
  };

  const WorldKind kind;
  Dice dice;
  const DriverRules rules;
  const LogRules log_rules_;
  std::string* const trace_;
  HistoryRule rule{.rooms = "*"};
  std::size_t per_read = 64, held_bytes = 1000, memory_bytes = 1000;

  std::array<Server, 2> servers = {};
  Server* current = &servers[0];
  bool is_split = false;
  bool has_lost = false;  // from now on anything may have to be told
  std::vector<std::unique_ptr<Replica>> replicas;
  std::vector<std::unique_ptr<Client>> clients;
  Clock::time_point now = Clock::time_point(std::chrono::hours(1));
  int step_count = 0;
  int messages = 0;
  std::size_t work = 0;
  std::map<int, Record> records;                              // when a message was recorded first
  std::map<int, std::size_t> acked;                           // its publisher was told so
  std::map<std::pair<std::size_t, std::string>, int> births;  // when a position came to be

 public:
  WorldStats stats;
  std::vector<Fault> faults;
};

}  // namespace roost::test
