// SPDX-License-Identifier: MIT
// Replicas whose rooms have histories in a real Redis, clients that keep a ledger of what they get,
// and a way to Redis that can be held up and cut.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <roost/backplane/history/position.hpp>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/redis_world.hpp"
#include "support/frame_fake.hpp"

namespace roost::test {

using Strings = std::vector<std::string>;

inline HistoryOptions histories(HistoryRule rule = {.rooms = "chat/*"}) {
  return {.rules = {rule}};
}

/// Lines without positions: `chat/a joined`, `chat/a: one`.
inline Strings shown(const Strings& texts) {
  Strings shown;
  for (std::string text : texts) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::size_t colon = text.find(':');
    if (colon < end) {
      const std::size_t stop = std::min(text.find(' ', colon), end);
      text.erase(colon, stop - colon);
    }
    if (const std::size_t line = text.find('\n'); line != std::string::npos) {
      text.replace(line, 1, ": ");
    }
    shown.push_back(text);
  }
  return shown;
}

/// A manager with a backplane of its own.
struct Replica {
  Replica(RedisWorld& its_world, HistoryOptions history, RedisOptions options = {})
      : world(its_world),
        backplane(make(std::move(history), std::move(options))),
        manager(world.context.get_executor()),
        cluster(bind_manager(*backplane, manager)) {}
  ~Replica() {
    world.run(manager.close_all());
    world.run(backplane->stop());
  }
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  std::unique_ptr<RedisBackplane> make(HistoryOptions history, RedisOptions options) {
    options.history = redis_history(std::move(history));
    if (options.min_retry_delay == RedisOptions().min_retry_delay) options.min_retry_delay = 1ms;
    if (options.max_retry_delay == RedisOptions().max_retry_delay) options.max_retry_delay = 10ms;
    return world.make(std::move(options));
  }
  void start() { world.run(backplane->start()); }
  std::shared_ptr<FrameFake> come(std::string_view id, std::string_view room,
                                  std::string resume = "", std::size_t last = 0) {
    auto ws = std::make_shared<FrameFake>();
    world.run(
        manager.connect(ws, {.connection_id = id, .rooms = room, .resume = resume, .last = last}));
    return ws;
  }
  Published say(std::string_view text, std::string_view room, BroadcastOptions options = {}) {
    options.room = room;
    return world.run(cluster.broadcast_text(text, options));
  }
  /// Does not wait.
  std::shared_ptr<detail::Child<Published>> begin_to_say(std::string_view text,
                                                         std::string_view room) {
    return detail::Child<Published>::start(world.context.get_executor(),
                                           cluster.broadcast_text(text, {.room = room}));
  }

  RedisWorld& world;
  std::unique_ptr<RedisBackplane> backplane;
  ConnectionManager<FrameFake> manager;
  Cluster cluster;
};

/// What clients got of one room: each message once, in the order of the log, without a gap that
/// they were not told of.
class Ledger {
 public:
  /// Of one client, over all its connections.
  struct Client {
    std::string name = {};
    std::optional<detail::Position> at = {};
    std::string token = {};  ///< What it sends when it comes back.
    std::size_t recovered = 0;
    std::size_t lost = 0;
    Strings payloads = {};
  };

  /// The next connection of a client. @returns what it sends
  void read(Client& client, const Strings& texts, std::size_t& from) {
    for (; from < texts.size(); ++from) read_one(client, texts[from]);
  }

  /// A publisher was told that its message is recorded there.
  void acknowledged(const Published& published, const std::string& payload) {
    INFO(payload);
    CHECK(acknowledged_.emplace(*published.at, payload).second);
    note(*published.at, payload);
  }
  const std::map<std::string, std::string>& acknowledgements() const { return acknowledged_; }

 private:
  void read_one(Client& client, const std::string& text) {
    INFO(client.name << " got " << text);
    const std::string line = text.substr(0, text.find('\n'));
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) {
      if (line.ends_with(" joined lost=unavailable")) {  // the next message tells where it is
        ++client.lost;
        client.at.reset();
      }
      return;
    }
    const std::size_t space = line.find(' ', colon);
    const std::string position = line.substr(colon + 1, space - colon - 1);
    const auto at = detail::parse_position(position);
    REQUIRE(at);
    const std::string words = space == std::string::npos ? "" : line.substr(space + 1);
    if (words == "joined recovered") {
      CHECK(at == client.at);
      ++client.recovered;
    } else if (words.find("lost=") != std::string::npos) {
      ++client.lost;
    } else if (words == "joined") {
      CHECK(client.token.empty());
    } else {
      REQUIRE(words.empty());
      if (client.at) {
        CHECK(at->epoch == client.at->epoch);
        CHECK(at->number == client.at->number + 1);
      }
      const std::size_t end = text.find('\n');
      if (end != std::string::npos) {
        note(position, text.substr(end + 1));
        client.payloads.push_back(text.substr(end + 1));
        CHECK(payloads_of_[client.name].insert(client.payloads.back()).second);
      }
    }
    client.at = at;
    client.token = line.substr(0, colon + 1) + position;
  }
  // All see the same message at a position.
  void note(const std::string& position, const std::string& payload) {
    CHECK(messages_.emplace(position, payload).first->second == payload);
  }

  std::map<std::string, std::string> messages_;
  std::map<std::string, std::string> acknowledged_;
  std::map<std::string, std::set<std::string>> payloads_of_;
};

/// Between replicas and a redis-server: holds up or cuts what one of their connections sends or
/// gets.
class Proxy {
  using tcp = boost::asio::ip::tcp;
  using local = boost::asio::local::stream_protocol;

 public:
  enum class Link { unknown, subscriber, publisher, history };
  enum class Way { up, down };  ///< To Redis; from there.

  Proxy(boost::asio::io_context& context, const RedisServer& server)
      : context_(context), target_(server.socket()) {
    boost::asio::co_spawn(context_, accept(*this), [](auto&&...) {});
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  std::string url() const {
    return "redis://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  /// New connections lead there; the present ones end.
  void lead_to(const RedisServer& server) {
    target_ = server.socket();
    sever();
  }
  void sever() {
    for (const auto& pair : pairs_) pair->close();
    pairs_.clear();
  }
  /// Passes nothing on, from @p needle on if there is one.
  void hold(Link link, Way way, std::string needle = "") {
    rules_[{link, way}] = {.needle = std::move(needle), .is_met = false};
  }
  /// Passes on what was held.
  void release() {
    rules_.clear();
    for (const auto& pair : pairs_) {
      for (const Way way : {Way::up, Way::down})
        pair->forward(way, std::exchange(pair->held(way), {}));
    }
  }
  /// Loses what was held.
  void lose() {
    rules_.clear();
    for (const auto& pair : pairs_) {
      for (const Way way : {Way::up, Way::down}) pair->held(way).clear();
    }
  }
  /// Whether something is held.
  bool holds() const {
    for (const auto& pair : pairs_) {
      if (!pair->held(Way::up).empty() || !pair->held(Way::down).empty()) return true;
    }
    return false;
  }
  /// Closes the link when so many more bytes have passed.
  void cut_after(Link link, Way way, std::size_t bytes) { cuts_[{link, way}] = bytes; }
  void cut_no_more() { cuts_.clear(); }
  /// Whether it was cut.
  bool has_cut() const { return cuts_.empty(); }
  /// What the links have passed on, by their ways.
  std::map<std::pair<Link, Way>, std::size_t> passed;

 private:
  struct Rule {
    std::string needle;
    bool is_met;
  };
  struct Pair {
    Pair(tcp::socket its_client, boost::asio::io_context& context)
        : client(std::move(its_client)), server(context) {}
    std::string& held(Way way) { return held_[way == Way::up ? 0 : 1]; }
    void forward(Way way, const std::string& bytes) {
      boost::system::error_code ignored;
      if (way == Way::up) {
        boost::asio::write(server, boost::asio::buffer(bytes), ignored);
      } else {
        boost::asio::write(client, boost::asio::buffer(bytes), ignored);
      }
    }
    void close() {
      boost::system::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }
    tcp::socket client;
    local::socket server;
    Link link = Link::unknown;

   private:
    std::array<std::string, 2> held_;
  };
  using PairPtr = std::shared_ptr<Pair>;

  static boost::asio::awaitable<void> accept(Proxy& self) {
    for (;;) {
      auto client = co_await self.acceptor_.async_accept(boost::asio::use_awaitable);
      const auto pair = std::make_shared<Pair>(std::move(client), self.context_);
      boost::system::error_code error;
      pair->server.connect(local::endpoint(self.target_), error);
      if (error) continue;
      self.pairs_.push_back(pair);
      boost::asio::co_spawn(self.context_, pump(self, pair, pair->client, Way::up),
                            [](auto&&...) {});
      boost::asio::co_spawn(self.context_, pump(self, pair, pair->server, Way::down),
                            [](auto&&...) {});
    }
  }
  template <class Socket>
  static boost::asio::awaitable<void> pump(Proxy& self, PairPtr pair, Socket& from, Way way) {
    std::array<char, 65536> buffer;
    try {
      for (;;) {
        const std::size_t size =
            co_await from.async_read_some(boost::asio::buffer(buffer), boost::asio::use_awaitable);
        self.pass(*pair, way, std::string(buffer.data(), size));
      }
    } catch (const boost::system::system_error&) {
      pair->close();
    }
    std::erase(self.pairs_, pair);
  }
  void pass(Pair& pair, Way way, std::string bytes) {
    if (way == Way::up && pair.link == Link::unknown) {
      const auto says = [&](std::string_view word) {
        return bytes.find(word) != std::string::npos;
      };
      if (says("SCRIPT")) pair.link = Link::history;
      if (says("SUBSCRIBE")) pair.link = Link::subscriber;
      if (says("PUBLISH\r\n") && !says("SCRIPT")) pair.link = Link::publisher;
    }
    const auto rule = rules_.find({pair.link, way});
    if (rule != rules_.end()) {
      std::size_t end = 0;
      if (!rule->second.is_met && !rule->second.needle.empty()) {
        end = std::min(bytes.find(rule->second.needle), bytes.size());
      }
      rule->second.is_met = rule->second.is_met || end < bytes.size();
      pair.held(way) += bytes.substr(end);
      bytes.erase(end);
    }
    const auto cut = cuts_.find({pair.link, way});
    const bool is_cut = cut != cuts_.end() && cut->second < bytes.size();
    if (is_cut) bytes.erase(cut->second);
    if (cut != cuts_.end()) cut->second -= std::min(cut->second, bytes.size());
    passed[{pair.link, way}] += bytes.size();
    pair.forward(way, bytes);
    if (!is_cut) return;
    cuts_.erase(cut);
    pair.close();
  }

  boost::asio::io_context& context_;
  std::string target_;
  tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
  std::vector<PairPtr> pairs_;
  std::map<std::pair<Link, Way>, Rule> rules_;
  std::map<std::pair<Link, Way>, std::size_t> cuts_;
};

}  // namespace roost::test
