// SPDX-License-Identifier: MIT
// Threads that ask for the addresses of a name, and those who do not wait for them any more. What
// this proves, ThreadSanitizer and AddressSanitizer prove.
#include <roost/redis/connection/lookup.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <roost/runtime/detail/tasks.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

namespace asio = boost::asio;

Addresses addresses_of(const char* host, bool is_on_strand) {
  asio::io_context context;
  const asio::any_io_executor executor = is_on_strand
                                             ? asio::any_io_executor(asio::make_strand(context))
                                             : asio::any_io_executor(context.get_executor());
  const auto looking = Child<Addresses>::start(executor, look_up(executor, host, 6379));
  context.run();
  return looking->take();
}

TEST_CASE("a name has addresses, and a number is one", "[threads]") {
  const bool is_on_strand = GENERATE(true, false);
  const Addresses of_name = addresses_of("localhost", is_on_strand);
  REQUIRE_FALSE(of_name.empty());
  for (const auto& address : of_name) {
    CHECK(address.address().is_loopback());
    CHECK(address.port() == 6379);
  }
  const int before = lookups_under_way;
  const Addresses of_number = addresses_of("::1", is_on_strand);
  REQUIRE(of_number.size() == 1);
  CHECK(of_number[0].address().is_v6());
  CHECK(lookups_under_way <= before);
}

TEST_CASE("a name that does not exist is an error", "[threads]") {
  CHECK_THROWS_AS(addresses_of("no-such-host.invalid", false), boost::system::system_error);
}

TEST_CASE("a coroutine that waits for a name may go at any moment", "[threads]") {
  for (int round = 0; round < 300; ++round) {
    auto context = std::make_unique<asio::io_context>();
    const bool is_on_strand = round % 3 == 0;
    asio::any_io_executor executor = is_on_strand
                                         ? asio::any_io_executor(asio::make_strand(*context))
                                         : asio::any_io_executor(context->get_executor());
    std::vector<std::shared_ptr<Child<Addresses>>> all;
    for (int i = 0; i < 4; ++i) {
      all.push_back(Child<Addresses>::start(executor, look_up(executor, "localhost", 6379)));
    }
    context->poll();
    if (round % 2 == 0) {
      all[0]->cancel();
      context->run_one_for(std::chrono::microseconds(10 * round));
    }
    executor = {};
    all.clear();
    context.reset();
  }
  SUCCEED();
}

}  // namespace
}  // namespace roost::detail
