// What the snippets of the guide may use: each becomes a coroutine with a World, see extract.py.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/local_presence.hpp>
#include <roost/beast.hpp>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>
#include <roost/redis/presence.hpp>
#include <roost/redis/registry.hpp>
#include <roost/testing.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;
using nlohmann::json;

struct World {
  asio::io_context& context;
  roost::Service<Ws>& service;
  Manager& manager;
  roost::RedisBackplane& backplane;
  const roost::Cluster& cluster;
  roost::Upgrade& upgrade;
  std::shared_ptr<Ws> socket;
  Manager::ConnectionPtr self;
  std::string id, room, text, token;
  std::vector<std::string> rooms;
  json value;
};

#define ROOST_USE_WORLD                                                                      \
  [[maybe_unused]] asio::io_context& context = world.context;                                \
  [[maybe_unused]] roost::Service<Ws>& service = world.service;                              \
  [[maybe_unused]] Manager& manager = world.manager;                                         \
  [[maybe_unused]] roost::RedisBackplane& backplane = world.backplane;                       \
  [[maybe_unused]] const roost::Cluster& cluster = world.cluster;                            \
  [[maybe_unused]] roost::Upgrade& upgrade = world.upgrade;                                  \
  [[maybe_unused]] const auto& socket = world.socket;                                        \
  [[maybe_unused]] const auto& self = world.self;                                            \
  [[maybe_unused]] const std::string &id = world.id, &room = world.room, &text = world.text, \
                                     &token = world.token;                                   \
  [[maybe_unused]] const auto& rooms = world.rooms;                                          \
  [[maybe_unused]] const json& value = world.value;
