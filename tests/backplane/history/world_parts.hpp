// SPDX-License-Identifier: MIT
// A world in which room logs live: replicas with three links each, two servers with replication
// that lags, and clients that come and go. Each schedule is played from a seed, step by step.
#pragma once

#include <roost/backplane/history/log_store.hpp>
#include <roost/backplane/history/position.hpp>
#include <roost/backplane/history/room_log.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace roost::test {

using detail::Epoch;
using detail::LogEntry;
using detail::Lost;
using detail::Mark;
using detail::Position;

inline constexpr std::size_t world_rooms = 2;

/// What is done to the logs.
enum class WorldKind {
  calm,      // Links are lost. Nobody may hear that something was lost.
  clean,     // Failovers lose nothing. The same.
  trimmed,   // As clean, with logs of six messages. Nothing may fork.
  failover,  // Failovers lose what was not replicated.
  split,     // There are two primaries for a while.
  cache,     // Redis evicts: hashes, lists, everything; it is out of memory.
  ages,      // Messages and positions grow too old.
  rollback,  // A server goes back to an earlier state while all its links live on.
};
inline constexpr std::array world_kinds{WorldKind::calm,     WorldKind::clean,   WorldKind::trimmed,
                                        WorldKind::failover, WorldKind::split,   WorldKind::cache,
                                        WorldKind::ages,     WorldKind::rollback};
inline const char* to_string(WorldKind kind) {
  static constexpr std::array names{"calm",  "clean", "trimmed", "failover",
                                    "split", "cache", "ages",    "rollback"};
  return names[static_cast<std::size_t>(kind)];
}

/// Rules of whoever drives a room log.
struct DriverRules {
  bool asks_after_ack = true;     // a question is sent once the subscription is acknowledged
  bool links_go_together = true;  // one that is lost takes the others along: they end at one server
  bool reads_on = true;  // after READONLY the answers to what was sent before are still read
};

struct WorldStats {
  std::size_t lost = 0, forks = 0, recovered = 0, refused = 0, joined = 0, replayed = 0;
  std::size_t questions = 0, unavailable = 0, untold = 0, messages = 0;
  void add(const WorldStats& other) {
    for (auto field :
         {&WorldStats::lost, &WorldStats::forks, &WorldStats::recovered, &WorldStats::refused,
          &WorldStats::joined, &WorldStats::replayed, &WorldStats::questions,
          &WorldStats::unavailable, &WorldStats::untold, &WorldStats::messages}) {
      this->*field += other.*field;
    }
  }
};

/// Something that must not be.
struct Fault {
  std::string what;  // hole, stuck, nothing, twice, missing
  std::string why;
};

class Dice {
 public:
  using result_type = std::uint64_t;
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~std::uint64_t{0}; }
  result_type operator()() {  // splitmix64
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
  }
  std::size_t below(std::size_t end) { return static_cast<std::size_t>((*this)() % end); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  bool percent(std::size_t p) { return below(100) < p; }

 private:
  std::uint64_t state_;
};

template <class LogRules>
struct WorldParts {
  using Store = detail::StoredLog<int>;
  using Log = detail::RoomLog<int, LogRules>;
  using Entry = LogEntry<int>;
  using Answer = detail::LogAnswer<int>;
  struct Replica;
  struct Link;

  enum class Command { subscribe, record, read, fork, beat };
  enum class Reply { subscribed, recorded, answer, forked, readonly, refused, beat, message, news };

  struct Sent {
    Command kind = Command::beat;
    std::size_t room = 0;
    int message = 0;
    std::uint64_t question = 0;
    std::optional<std::uint64_t> since = {};
    Epoch epoch = {};
  };
  struct Came {
    Reply kind = Reply::beat;
    Sent to = {};
    Position at = {};
    Answer answer = {};
    Entry entry = {};
  };

  /// An effect that the other server has not seen.
  struct Effect {
    std::optional<Store> state = {};
    std::size_t room = 0;
    Came push = {};
  };

  struct Server {
    const char* name = "";
    bool is_primary = false;
    bool is_full = false;
    std::array<Store, world_rooms> rooms = {};
    std::array<std::vector<Link*>, world_rooms> subscribers = {};
    std::deque<Effect> stream = {};

    void unsubscribe(Link* link) {
      for (auto& links : subscribers) std::erase(links, link);
    }
  };

  struct Link {
    Server* server;
    std::deque<Sent> out = {};
    std::deque<Came> back = {};
  };

  struct Client {
    int id = 0;
    Replica* replica = nullptr;
    struct Item {
      enum class Kind { message, lost, joined } kind;
      std::size_t room;
      Position at;
      Mark before = {};
      int message = 0;
      bool is_recovered = false;
      std::optional<Lost> why = {};
    };
    std::deque<Item> inbox = {};
    struct Place {
      std::optional<Position> at = {};
      Position began = {};  // where what it has begins
      std::set<int> got = {};
    };
    std::array<Place, world_rooms> places = {};
  };

  struct Room {
    explicit Room(detail::HistoryMemory& memory, std::size_t bytes, const LogRules& rules)
        : log(memory, bytes, rules) {}
    Log log;
    std::vector<Client*> members = {};
  };

  enum LinkName : std::size_t { publisher, subscriber, store };

  struct Replica {
    Replica(int its_id, std::size_t bytes) : id(its_id), memory(bytes) {}
    int id;
    detail::HistoryMemory memory;
    std::array<std::shared_ptr<Link>, 3> links = {};
    std::array<std::unique_ptr<Room>, world_rooms> rooms = {};
    std::deque<Sent> spool = {}, flight = {}, refused = {};
  };
};

}  // namespace roost::test
