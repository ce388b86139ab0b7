// SPDX-License-Identifier: MIT
// A replica for the test of presence with processes. Clients with `?user=NAME` are in the room "r";
// they get each change as {"came": [users], "went": [users]}. A client may ask, with one word:
//
//   told      {"told": [users]}, what the hook was told in total; changes after that are the next
//   present   {"present": [users]}
//   replicas  {"replicas": {name: label}}
//   ask       {"answers": [names], "missing": [names]}
//
//   operators_presence_server REDIS_URL LABEL

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <iostream>
#include <roost/beast.hpp>
#include <roost/redis.hpp>
#include <roost/redis/presence.hpp>
#include <roost/redis/registry.hpp>
#include <set>
#include <string>
#include <utility>

using boost::asio::awaitable;
using nlohmann::json;
using namespace std::chrono_literals;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

struct Replica {
  roost::Service<Ws>& service;
  std::set<std::string> told = {};

  void note(const roost::PresenceChange& change) {
    if (change.is_fresh) told.clear();
    json message;
    message["all"] = change.is_fresh;
    message["came"] = json::array();
    for (const roost::PresentUser& user : change.came) {
      message["came"].push_back(user.user);
      told.insert(user.user);
    }
    message["went"] = change.went;
    for (const std::string& user : change.went) told.erase(user);
    service.manager().post_json(message, {.room = "r", .record = false});
  }
};

awaitable<std::string> answer(Replica& replica, std::string word) {
  const roost::Cluster& cluster = replica.service.cluster();
  json message = json::object();
  if (word == "told") {
    message["told"] = replica.told;
  } else if (word == "present") {
    const roost::Presence present = co_await cluster.present("r");
    message["present"] = json::array();
    for (const roost::PresentUser& user : present.users) message["present"].push_back(user.user);
  } else if (word == "replicas") {
    message["replicas"] = json::object();  // before the first beat there is none
    for (const roost::ReplicaInfo& one : cluster.replicas()) {
      message["replicas"][one.name] = one.label;
    }
  } else if (word == "ask") {
    const json question;
    const roost::Survey survey = co_await cluster.ask("here", question, {.timeout = 2s});
    message["answers"] = json::array();
    for (const roost::ReplicaAnswer& one : survey.answers) {
      message["answers"].push_back(one.replica);
    }
    message["missing"] = survey.missing;
  }
  co_return message.dump();
}

awaitable<void> serve(Replica& replica, roost::Upgrade upgrade) {
  const std::string user = upgrade.query("user").value_or("nobody");
  auto socket = co_await upgrade.accept();
  auto talk = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto word = co_await replica.service.manager().next_text(*self)) {
      const std::string text = co_await answer(replica, *word);
      co_await self->send_text(text);
    }
  };
  co_await replica.service.manager().session(socket, {.rooms = "r", .user = user}, talk);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  boost::asio::io_context context(1);
  const roost::PresenceRule rule{.rooms = "r", .linger = 1s, .tell_interval = 100ms};
  roost::RedisOptions redis;
  redis.url = argv[1];
  redis.channel = "presence";
  redis.registry = roost::redis_registry({.lease = 5s, .beat_interval = 500ms});
  redis.presence = roost::redis_presence({.rules = {rule}});
  redis.label = argv[2];
  roost::RedisBackplane backplane(context.get_executor(), redis);
  auto& service = roost::init_websockets<Ws>(context, {}, {.backplane = backplane});
  Replica replica{service};
  service.cluster().on_presence([&](const roost::PresenceChange& change) { replica.note(change); });
  service.cluster().on_ask("here", [](const json&) { return json(true); });
  const auto handler = [&](roost::Upgrade upgrade) { return serve(replica, std::move(upgrade)); };
  const boost::asio::ip::tcp::endpoint endpoint(boost::asio::ip::address_v4::loopback(), 0);
  auto listener = roost::listen(service.manager(), endpoint, {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  std::cout << listener.port() << std::endl;
  context.run();
}
