// SPDX-License-Identifier: MIT
// A program that calls the templates of a manager. Its object file must have no other bodies of the
// manager: these are compiled once for all files.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <nlohmann/json.hpp>

using Manager = roost::ConnectionManager<roost::testing::FakeWebSocket>;

boost::asio::awaitable<void> send_all(Manager& manager, const Manager::ConnectionPtr& connection,
                                      const nlohmann::json& json) {
  co_await manager.broadcast_json(json);
  manager.post_json(json);
  co_await manager.send_to("id", "text");
  co_await manager.send_to("id", json);
  co_await connection->send_json(json);
}

boost::asio::awaitable<void> serve(Manager& manager,
                                   std::shared_ptr<roost::testing::FakeWebSocket> socket) {
  const auto handler = [](const Manager::ConnectionPtr&) -> boost::asio::awaitable<void> {
    co_return;
  };
  co_await manager.session(std::move(socket), {}, handler);
}

int main() {
  boost::asio::io_context context;
  const boost::asio::any_io_executor executor = context.get_executor();
  Manager manager(executor);
  return static_cast<int>(manager.total_connections());
}
