// SPDX-License-Identifier: MIT
// A world in which room logs live: replicas with three links each, two servers with replication
// that lags, and clients that come and go. Each schedule is played from a seed, step by step.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backplane/history/world_machinery.hpp"
#include "backplane/history/world_parts.hpp"

namespace roost::test {

/// Clients that come and go, and all that goes wrong.
template <class LogRules>
class World : private WorldMachinery<LogRules> {
  using Base = WorldMachinery<LogRules>;
  using Base::clients, Base::has_lost, Base::is_split, Base::step_count, Base::now, Base::wrong;
  using Base::kind, Base::dice, Base::rule, Base::servers, Base::current, Base::replicas;
  using Base::note, Base::text, Base::with_log;
  using typename Base::Client, typename Base::Item, typename Base::LinkPtr, typename Base::Log;
  using typename Base::Parts, typename Base::Replica, typename Base::Room, typename Base::Server;
  using typename Base::Store, typename Base::Link, typename Base::Command;

 public:
  using Base::stats, Base::faults;

  World(WorldKind its_kind, std::uint64_t seed, DriverRules driver_rules = {},
        LogRules log_rules = {}, std::string* trace = nullptr)
      : Base(its_kind, seed, driver_rules, log_rules, trace) {
    for (int i = 0; i < 5; ++i) {
      clients.push_back(std::make_unique<Client>());
      clients.back()->id = i;
    }
    try {
      for (int i = 0; i < 450; ++i) step();
      settle();
    } catch (const std::runtime_error& error) {
      wrong("stuck", error.what());
    }
  }

 private:
  // --- clients ---

  void arrive(Client& client, Replica& replica) {
    client.replica = &replica;
    note([&] {
      return "client " + std::to_string(client.id) + " comes to R" + std::to_string(replica.id);
    });
    const auto member = static_cast<std::uint64_t>(client.id);
    for (std::size_t room = 0; room < world_rooms; ++room) {
      if (!replica.rooms[room]) {
        replica.rooms[room] =
            std::make_unique<Room>(replica.memory, this->held_bytes, this->log_rules_);
        this->subscribe(replica, room);
      }
      const auto& at = client.places[room].at;
      const std::size_t count = dice.below(4);
      with_log(replica, room, [&](Log& log, auto& sink) {
        at ? log.resume(member, *at, sink) : log.join(member, count, sink);
      });
    }
  }

  void go(Client& client) {
    Replica* const replica = std::exchange(client.replica, nullptr);
    client.inbox.clear();
    if (!replica) return;
    for (std::size_t i = 0; i < world_rooms; ++i) {
      auto& room = replica->rooms[i];
      if (!room) continue;
      std::erase(room->members, &client);
      room->log.leave(static_cast<std::uint64_t>(client.id));
      if (!room->members.empty() || room->log.waiting() > 0 || !dice.percent(30)) continue;
      room.reset();
      if (const auto& link = replica->links[Parts::subscriber])
        std::erase(link->server->subscribers[i], link.get());
    }
  }

  void consume(Client& client, std::size_t count) {
    for (; count > 0 && !client.inbox.empty(); --count) {
      const Item item = std::move(client.inbox.front());
      client.inbox.pop_front();
      auto& place = client.places[item.room];
      const auto complain = [&](const char* what) {
        wrong("hole", std::string(what) + ": client " + std::to_string(client.id) + " in room " +
                          std::to_string(item.room) + " at " +
                          (place.at ? text(*place.at) : "nothing") + " gets " + text(item.at));
      };
      if (item.kind == Item::Kind::message) {
        const bool follows = place.at && place.at->epoch == item.at.epoch &&
                             place.at->number + 1 == item.at.number &&
                             place.at->mark == item.before;
        if (!follows) complain("a message that does not follow");
        if (!place.got.insert(item.message).second) complain("a message again");
        place.at = item.at;
      } else if (item.is_recovered) {
        if (place.at != item.at) complain("recovered at another position");
      } else {
        place = {.at = item.at, .began = item.at};
      }
    }
  }

  // --- what goes wrong ---

  void execute_one(Link& link) {
    if (link.out.empty()) return;
    const auto sent = std::move(link.out.front());
    link.out.pop_front();
    link.back.push_back(this->execute(link, sent));
  }

  // Some of what was sent is executed and never answered, some of what comes back arrives.
  void break_link(Replica& replica, std::size_t name) {
    const LinkPtr link = replica.links[name];
    if (!link) return;
    for (std::size_t i = dice.below(link->out.size() + 1); i > 0; --i) {
      this->execute(*link, link->out.front());
      link->out.pop_front();
    }
    for (std::size_t i = dice.below(link->back.size() + 1); i > 0; --i) {
      if (replica.links[name] == link && !link->back.empty()) this->receive(replica, name);
    }
    if (replica.links[name] == link) this->lose_link(replica, name);
  }

  void reconnect(Replica& replica, std::size_t name) {
    Server& server = is_split && dice.one_in(2) ? this->other(*current) : *current;
    this->connect(replica, name, server);
  }

  void kill(Replica& replica) {
    note([&] { return "R" + std::to_string(replica.id) + " is killed"; });
    for (auto& client : clients) {
      if (client->replica != &replica) continue;
      consume(*client, dice.below(client->inbox.size() + 1));
      go(*client);
    }
    for (auto& link : replica.links) {
      if (!link) continue;
      for (std::size_t i = dice.below(link->out.size() + 1); i > 0; --i) {
        this->execute(*link, link->out.front());
        link->out.pop_front();
      }
      link->server->unsubscribe(link.get());
    }
    auto& place = replicas[static_cast<std::size_t>(replica.id)];
    place = std::make_unique<Replica>(replica.id, this->memory_bytes);
  }

  void fail_over() {
    if (is_split) return heal();
    Server& old = *current;
    const bool loses =
        kind == WorldKind::failover || kind == WorldKind::split ? dice.percent(60) : false;
    this->replicate(loses ? dice.below(old.stream.size() + 1) : old.stream.size());
    has_lost = has_lost || !old.stream.empty();
    note([&] { return "failover, " + std::to_string(old.stream.size()) + " effects are lost"; });
    current = &this->other(old);
    current->is_primary = true;
    current->stream.clear();
    old.stream.clear();
    if (kind == WorldKind::split && dice.percent(70)) {
      is_split = has_lost = true;
    } else {
      demote(old, dice.percent(70));
    }
  }
  void heal() {
    note([] { return "healed"; });
    is_split = false;
    demote(this->other(*current), dice.percent(60));
  }
  void demote(Server& old, bool drops_links) {
    old.is_primary = false;
    old.rooms = current->rooms;
    old.stream.clear();
    current->stream.clear();
    for (auto& replica : replicas) {
      for (std::size_t name = 0; name < 3; ++name) {
        if (!drops_links && !dice.one_in(6)) continue;
        if (replica->links[name] && replica->links[name]->server == &old)
          break_link(*replica, name);
      }
    }
  }

  void evict() {
    has_lost = true;
    const std::size_t room = dice.below(world_rooms);
    Store& log = current->rooms[room];
    note([&] { return "eviction in room " + std::to_string(room); });
    switch (dice.below(6)) {
      case 0: log.drop_entries(log.size()); break;
      case 1: log.drop_position(); break;
      case 2: log.drop_entries(log.size() / 2); break;
      case 3:
        log.drop_position();
        log.drop_entries(log.size());
        break;
      case 4: current->is_full = !current->is_full; break;
      default:
        for (Store& each : current->rooms) {
          each.drop_position();
          each.drop_entries(each.size());
        }
    }
    for (std::size_t each = 0; each < world_rooms; ++each) this->wrote(*current, each);
  }

  // The copy that lags is taken, and nobody is told.
  void roll_back() {
    has_lost = true;
    note([] { return "rolled back"; });
    this->replicate(dice.below(current->stream.size() + 1));
    current->stream.clear();
    current->rooms = this->other(*current).rooms;
  }

  // --- a schedule ---

  void step() {
    ++step_count;
    now += std::chrono::seconds(kind == WorldKind::ages ? 1 : 0);
    Replica& replica = *replicas[dice.below(replicas.size())];
    const std::size_t name = dice.below(3);
    const LinkPtr link = replica.links[name];
    const std::size_t what = dice.below(1000);
    if (what < 150) {
      ++stats.messages;
      replica.spool.push_back(
          {.kind = Command::record, .room = dice.below(world_rooms), .message = ++this->messages});
      this->pump(replica);
    } else if (what < 420) {
      if (link) execute_one(*link);
    } else if (what < 640) {
      for (std::size_t i = dice.below(3) + 1; i > 0; --i) {
        if (link && replica.links[name] == link && !link->back.empty())
          this->receive(replica, name);
      }
    } else if (what < 690) {
      this->replicate(dice.below(3) + 1);
    } else if (what < 730) {
      Client& client = *clients[dice.below(clients.size())];
      consume(client, dice.below(4) + 1);
    } else if (what < 810) {
      move_client(replica);
    } else if (what < 920) {
      if (!link) {
        for (std::size_t each = 0; each < 3; ++each) {
          if (!replica.links[each] && dice.percent(70)) reconnect(replica, each);
        }
      } else if (dice.percent(8)) {
        break_link(replica, name);
      }
    } else if (what < 924) {
      kill(replica);
    } else if (what < 945) {
      this->send(replica, Parts::store, {.kind = Command::beat});
    } else {
      misfortune(replica);
    }
  }

  // One leaves, or is dropped as too slow; often it is back at once, elsewhere.
  void move_client(Replica& replica) {
    Client& client = *clients[dice.below(clients.size())];
    if (!client.replica) return arrive(client, replica);
    if (!dice.percent(60)) return;
    consume(client, dice.below(client.inbox.size() + 1));
    go(client);
    if (dice.one_in(2)) arrive(client, replica);
  }

  void misfortune(Replica& replica) {
    const bool fails_over = kind == WorldKind::clean || kind == WorldKind::trimmed ||
                            kind == WorldKind::failover || kind == WorldKind::split;
    if (fails_over && dice.percent(25)) return fail_over();
    if (kind == WorldKind::rollback && dice.percent(20)) return roll_back();
    if (kind == WorldKind::cache && dice.percent(40)) return evict();
    if (kind == WorldKind::ages && dice.percent(20)) {
      now += std::chrono::seconds(dice.below(100));
      return;
    }
    const std::size_t room = dice.below(world_rooms);
    if (!replica.rooms[room]) return;
    if (has_lost && dice.one_in(8)) return give_up(replica, room);
    if (dice.one_in(4)) {
      with_log(replica, room, [](Log& log, auto& sink) { log.ask(sink); });
    }
  }

  // Somebody who waits does not wait any longer.
  void give_up(Replica& replica, std::size_t room) {
    for (auto& client : clients) {
      const auto& members = replica.rooms[room]->members;
      if (client->replica != &replica || std::ranges::find(members, client.get()) != members.end())
        continue;
      with_log(replica, room, [&](Log& log, auto& sink) {
        log.give_up(static_cast<std::uint64_t>(client->id), sink);
      });
    }
  }

  // --- the end: all is quiet, and whatever is on its way arrives ---

  void settle() {
    note([] { return "--- quiet"; });
    if (is_split) heal();
    for (Server& server : servers) server.is_full = false;
    bool is_busy = true;
    const bool one_speaks = dice.one_in(2);
    const auto earlier = current->rooms;
    for (int round = 0; is_busy || round < 12; ++round) {
      ++step_count;
      if (round > 60) return wrong("stuck", "there are still questions after 60 rounds");
      is_busy = false;
      for (auto& replica : replicas) is_busy = wake(*replica, round) || is_busy;
      is_busy = deliver_all() || is_busy;
      this->replicate(current->stream.size());
      if (round == 9 && kind == WorldKind::rollback) {
        if (dice.one_in(2)) {
          has_lost = true;
          current->rooms = earlier;
        }
        notice(one_speaks);
      }
      for (auto& client : clients) {
        if (round == 8 && !client->replica) arrive(*client, *replicas[dice.below(replicas.size())]);
      }
    }
    for (auto& client : clients) {
      consume(*client, client->inbox.size());
      for (std::size_t room = 0; room < world_rooms; ++room) judge(*client, room);
    }
    for (const auto& [message, room] : this->acked) find_acked(message, room);
  }

  bool wake(Replica& replica, int round) {
    bool is_busy = false;
    for (std::size_t name = 0; name < 3; ++name) {
      if (replica.links[name]) continue;
      this->connect(replica, name, *current);
      is_busy = true;
    }
    if (round == 1 || round == 3 || round == 5)
      this->send(replica, Parts::store, {.kind = Command::beat});
    for (std::size_t room = 0; room < world_rooms && round == 6; ++room) {
      // Refused questions are asked again, and so are rooms that have been quiet for long.
      const auto& its = replica.rooms[room];
      const bool is_quiet = kind == WorldKind::cache || (its && its->log.waiting() > 0);
      if (!its || (its->log.is_in_step() && !is_quiet)) continue;
      with_log(replica, room, [](Log& log, auto& sink) { log.ask(sink); });
    }
    return is_busy;
  }

  // All is delivered. One message, or one replica that asks, is enough for everybody to be told.
  void notice(bool one_speaks) {
    for (std::size_t room = 0; room < world_rooms; ++room) {
      for (auto& replica : replicas) {
        const auto& its = replica->rooms[room];
        if (!its || its->log.position() == current->rooms[room].position()) continue;
        if (one_speaks) {
          replica->spool.push_back(
              {.kind = Command::record, .room = room, .message = ++this->messages});
          this->pump(*replica);
        } else {
          with_log(*replica, room, [](Log& log, auto& sink) { log.ask(sink); });
          // Without a fork the others hear of it with the next message only.
          if (its->log.position()->epoch != current->rooms[room].position().epoch) continue;
        }
        break;
      }
    }
  }

  bool deliver_all() {
    for (bool was_busy = false;; was_busy = true) {
      std::vector<std::pair<Replica*, std::size_t>> ready;
      for (auto& replica : replicas) {
        for (std::size_t name = 0; name < 3; ++name) {
          const LinkPtr& link = replica->links[name];
          if (link && !(link->out.empty() && link->back.empty()))
            ready.emplace_back(replica.get(), name);
        }
      }
      if (ready.empty()) return was_busy;
      this->count_work();
      const auto [replica, name] = ready[dice.below(ready.size())];
      const LinkPtr link = replica->links[name];
      if (link->back.empty() || (!link->out.empty() && dice.one_in(2))) {
        execute_one(*link);
      } else {
        this->receive(*replica, name);
      }
    }
  }

  void judge(const Client& client, std::size_t room) {
    const Store& log = current->rooms[room];
    const auto& place = client.places[room];
    if (!place.at || *place.at != log.position()) {
      const auto& its = client.replica->rooms[room];
      return wrong("stuck", "client " + std::to_string(client.id) + " is at " +
                                (place.at ? text(*place.at) : "nothing") + " of room " +
                                std::to_string(room) + ", the log at " + text(log.position()) +
                                ", its replica R" + std::to_string(client.replica->id) +
                                (its->log.is_in_step() ? " in step" : " asking"));
    }
    const auto born = this->births.find({room, text(place.began)});
    for (const auto& [message, its_room] : this->acked) {
      const auto& record = this->records.at(message);
      if (its_room != room || born == this->births.end() || record.step <= born->second) continue;
      if (place.got.contains(message)) continue;
      ++stats.untold;
      if (!has_lost)
        wrong("missing", "client " + std::to_string(client.id) + " was not told of message " +
                             std::to_string(message));
    }
  }

  // An acknowledged message must be recorded, unless the store has lost something.
  void find_acked(int message, std::size_t room) {
    if (has_lost || rule.max_messages < 1000) return;
    const auto answer = Store(current->rooms[room]).read(0, {}, {}, 1'000'000, this->limits(), now);
    const auto same = [&](const auto& entry) { return entry.payload == message; };
    if (std::ranges::count_if(answer.entries, same) != 1)
      wrong("missing", "message " + std::to_string(message) + " is not in the log once");
  }
};

}  // namespace roost::test
