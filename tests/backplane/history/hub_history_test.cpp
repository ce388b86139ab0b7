// SPDX-License-Identifier: MIT
// The histories of a hub when the hub, its backplanes and its clock are gone.
#include <roost/backplane/local_backplane.hpp>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>

#include "catch.hpp"

namespace roost {
namespace {

/// A clock that counts how often it is looked at.
class CountingClock final : public Clock {
 public:
  [[nodiscard]] time_point now() const noexcept override {
    ++looks;
    return time;
  }
  mutable int looks = 0;
  time_point time{std::chrono::hours(1)};
};

}  // namespace

TEST_CASE("a manager that outlives the backplane does not look at the clock of the hub") {
  CountingClock clock;
  boost::asio::io_context context;
  auto hub = std::make_unique<LocalHub>(HistoryOptions{.rules = {{.rooms = "*"}}}, clock);
  auto backplane = std::make_unique<LocalBackplane>(context.get_executor(), *hub);
  const auto history = backplane->history();
  history->enter("a");
  CHECK(clock.looks > 0);
  backplane.reset();
  hub.reset();
  const int before = clock.looks;
  history->enter("b");
  history->recover(nullptr, "a", {{}});
  history->leave("a");
  history->leave("b");
  CHECK(clock.looks == before);
}

TEST_CASE("a manager that outlives its backplane leaves the rooms of a hub that goes on") {
  CountingClock clock;
  boost::asio::io_context context;
  const LocalHub hub(HistoryOptions{.rules = {{.rooms = "*"}}}, clock);
  auto backplane = std::make_unique<LocalBackplane>(context.get_executor(), hub);
  const auto history = backplane->history();
  history->enter("a");
  history->recover(nullptr, "a", {{}});
  CHECK(hub.stats().rooms == 1);
  backplane.reset();
  clock.time += std::chrono::hours(2);
  CHECK(hub.stats().rooms == 1);
  history->leave("a");
  clock.time += std::chrono::hours(2);
  CHECK(hub.stats().rooms == 0);
}

}  // namespace roost
