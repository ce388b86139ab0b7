// SPDX-License-Identifier: MIT
// A replica of the release before histories, whose headers this is compiled with. It prints what
// its one client gets, and ends with "end".
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <memory>
#include <roost/redis.hpp>
#include <roost/testing.hpp>
#include <string>

int main(int, char** arguments) {
  const std::string url = arguments[1];
  const std::string channel = arguments[2];
  const std::string room = arguments[3];
  const auto routing = arguments[4] == std::string("per_room") ? roost::Routing::per_room
                                                               : roost::Routing::shared_channel;
  boost::asio::io_context context;
  roost::RedisBackplane backplane(context.get_executor(),
                                  {.url = url, .channel = channel, .routing = routing});
  roost::ConnectionManager<roost::testing::FakeWebSocket> manager(context.get_executor());
  const roost::Cluster cluster = roost::bind_manager(backplane, manager, {.allow_global = true});
  const auto ws = std::make_shared<roost::testing::FakeWebSocket>();
  const auto run = [&](auto task) {
    roost::testing::run_until(context, [&] { return task->is_done(); });
    task->take();
  };
  using roost::detail::Child;
  run(Child<void>::start(context.get_executor(), backplane.start()));
  using ConnectionPtr = decltype(manager)::ConnectionPtr;
  run(Child<ConnectionPtr>::start(context.get_executor(),
                                  manager.connect(ws, {.connection_id = "old", .rooms = {room}})));
  std::cout << "ready" << std::endl;
  std::size_t printed = 0;
  for (std::string last; last != "end";) {
    context.restart();
    context.run_one_for(std::chrono::milliseconds(100));
    const auto texts = ws->sent_texts();
    for (; printed < texts.size(); ++printed) {
      last = texts[printed];
      std::cout << last << std::endl;
    }
  }
}
