// SPDX-License-Identifier: MIT
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <roost/runtime/detail/tasks.hpp>
#include <roost/testing/run.hpp>

#include "catch.hpp"

namespace roost::detail {
namespace {

using boost::asio::cancellation_type;
struct Seen {
  int calls = 0;
  int alive = 0;
};

/// A handler that fits into a signal.
class Counting {
 public:
  explicit Counting(Seen& seen) : seen_(&seen) { ++seen_->alive; }
  Counting(const Counting& other) : Counting(*other.seen_) {}
  Counting& operator=(const Counting&) = delete;
  ~Counting() { --seen_->alive; }
  void operator()(cancellation_type) const { ++seen_->calls; }

 private:
  Seen* const seen_;
};

boost::asio::awaitable<void> sleep_until_woken(Sleeper& bed,
                                               boost::asio::any_io_executor executor) {
  co_await bed.sleep(executor);
}

}  // namespace

TEST_CASE("a job signal calls the handler in its slot, until the slot is cleared") {
  Seen first;
  Seen second;
  {
    JobSignal signal;
    signal.emit(cancellation_type::terminal);
    signal.slot().assign(Counting(first));
    CHECK(signal.slot().has_handler());
    signal.emit(cancellation_type::terminal);
    signal.emit(cancellation_type::terminal);
    CHECK(first.calls == 2);
    signal.slot().emplace<Counting>(second);
    CHECK(first.alive == 0);
    signal.emit(cancellation_type::terminal);
    CHECK(first.calls == 2);
    CHECK(second.calls == 1);
    signal.slot().clear();
    CHECK_FALSE(signal.slot().has_handler());
    CHECK(second.alive == 0);
    signal.emit(cancellation_type::terminal);
    CHECK(second.calls == 1);
    signal.slot().assign(Counting(second));
    CHECK(second.alive == 1);
  }
  CHECK(second.alive == 0);
}

TEST_CASE("a child that is cancelled ends with what its operation throws") {
  boost::asio::io_context context;
  Sleeper bed;
  const auto child =
      Child<void>::start(context.get_executor(), sleep_until_woken(bed, context.get_executor()));
  testing::run_ready(context);
  CHECK_FALSE(child->is_done());
  child->cancel();
  testing::run_ready(context);
  REQUIRE(child->is_done());
  CHECK_THROWS_AS(child->take(), boost::system::system_error);
}

}  // namespace roost::detail
