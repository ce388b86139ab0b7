// SPDX-License-Identifier: MIT
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <roost/runtime/detail/tasks.hpp>
#include <roost/testing/run.hpp>

#include "catch.hpp"

namespace roost::detail {
namespace {

using boost::asio::awaitable;
using boost::asio::io_context;
using Token = std::shared_ptr<int>;

awaitable<void> sleep_in(Sleeper& bed, boost::asio::any_io_executor executor) {
  co_await bed.sleep(executor);
}

/// A parent that waits for its child, and notes whether @p owned was gone by then.
awaitable<void> wait_for_child(std::shared_ptr<Child<void>> child,
                               boost::asio::any_io_executor executor, Token lives_with_parent,
                               std::weak_ptr<int> owned, bool& was_gone) {
  co_await child->parent.sleep(executor);
  was_gone = lives_with_parent && owned.expired();
}

}  // namespace

TEST_CASE("an object that a child owns lives as long as the coroutine of the child, no longer") {
  io_context context;
  Sleeper bed;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = owned;
  const auto child = Child<void>::start(context.get_executor(),
                                        sleep_in(bed, context.get_executor()), std::move(owned));
  bool was_gone = false;
  boost::asio::co_spawn(
      context,
      wait_for_child(child, context.get_executor(), std::make_shared<int>(2), seen, was_gone),
      boost::asio::detached);
  testing::run_ready(context);
  CHECK_FALSE(seen.expired());
  CHECK_FALSE(child->is_done());
  bed.wake();
  testing::run_ready(context);
  CHECK(child->is_done());
  CHECK(was_gone);
}

TEST_CASE("a parent that waits for a child is destroyed with a child that never ends") {
  io_context context;
  Sleeper bed;
  auto child = Child<void>::start(context.get_executor(), sleep_in(bed, context.get_executor()));
  auto token = std::make_shared<int>(2);
  const std::weak_ptr<int> in_parent = token;
  bool was_gone = false;
  boost::asio::co_spawn(
      context,
      wait_for_child(std::move(child), context.get_executor(), std::move(token), {}, was_gone),
      boost::asio::detached);
  testing::run_ready(context);
  CHECK_FALSE(in_parent.expired());
  bed.forget();
  testing::run_ready(context);  // Asio posts the end of a coroutine
  CHECK(in_parent.expired());
  CHECK_FALSE(was_gone);
}

}  // namespace roost::detail
