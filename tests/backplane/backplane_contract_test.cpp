// SPDX-License-Identifier: MIT
// What every backplane promises, of the one inside a process.
#include <roost/backplane/local_backplane.hpp>
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <utility>

#include "catch.hpp"
#include "support/backplane_config.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"

namespace roost::test {

// Replicas in this process.
struct LocalWorld {
  using Backplane = LocalBackplane;

  Log log;
  boost::asio::io_context context;
  LocalHub hub;

  std::unique_ptr<LocalBackplane> make(const Config& config = {}) {
    return std::make_unique<LocalBackplane>(
        context.get_executor(), hub,
        LocalBackplaneOptions{.channel = config.channel,
                              .max_message_bytes = config.max_message_bytes,
                              .logger = log.logger()});
  }
  /// Makes progress until @p predicate holds.
  template <class Predicate>
  void until(Predicate predicate) {
    run_ready(context);
    REQUIRE(predicate());
  }
  template <class T>
  T run(awaitable<T> coroutine) {
    return testing::run(context, std::move(coroutine));
  }
};

}  // namespace roost::test

#define ROOST_TEST_WORLD test::LocalWorld
#include "support/backplane_contract.hpp"
