// SPDX-License-Identifier: MIT
// A manager on a context and a clock of its own. At its end it checks that nothing is left.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <roost/runtime/detail/tasks.hpp>
#include <roost/testing.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "catch.hpp"
#include "support/log.hpp"

namespace roost::test {

using namespace std::chrono_literals;
using testing::FakeWebSocket;
using testing::ManualClock;
using testing::run;
using testing::run_ready;

template <class T = void>
using awaitable = boost::asio::awaitable<T>;

/// The code of the `roost::Error` that @p action throws.
template <class Action>
errc error_of(Action action) {
  try {
    action();
  } catch (const boost::system::system_error& error) {
    if (error.code().category() == error_category()) return static_cast<errc>(error.code().value());
    FAIL("another error: " << error.what());
  }
  FAIL("no error");
  return {};
}

/// What the exception that @p action throws says.
template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

template <class Ws>
class Bench {
 public:
  using Manager = ConnectionManager<Ws>;
  using Options = ManagerOptions<Ws>;
  using ConnectionPtr = typename Manager::ConnectionPtr;
  template <class T>
  using Task = std::shared_ptr<detail::Child<T>>;

  ManualClock clock;
  Log log;
  boost::asio::io_context context;

 private:
  std::optional<Manager> owned_;

 public:
  Manager& manager;

  explicit Bench(Options options = {})
      : owned_(std::in_place, context.get_executor(), complete(std::move(options))),
        manager(*owned_) {}
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  ~Bench() {
    if (std::uncaught_exceptions() > 0) return;
    const auto closing = start(manager.close_all());
    settle();
    for (int day = 0; day < 4 && clock.armed() > 0; ++day) pass(24h);
    CHECK(closing->is_done());
    CHECK(manager.total_connections() == 0);
    CHECK(manager.list_rooms().empty());
    CHECK(manager.stats().queued_bytes == 0);
    CHECK(manager.stats().blocked == 0);
    CHECK(clock.armed() == 0);
    CHECK(running(context) == 0);
    owned_.reset();
    settle();
    CHECK(context.stopped());  // no coroutine, no timer is left
  }

  std::shared_ptr<Ws> socket() {
    if constexpr (std::constructible_from<Ws, Clock&>) {
      return std::make_shared<Ws>(clock);
    } else {
      return std::make_shared<Ws>();
    }
  }

  /// A new socket, registered.
  std::shared_ptr<Ws> connect(std::string_view id, Names rooms = {}) {
    auto ws = socket();
    run(manager.connect(ws, {.connection_id = id, .rooms = rooms}));
    return ws;
  }

  template <class T>
  T run(awaitable<T> coroutine) {
    return testing::run(context, std::move(coroutine));
  }
  /// Lets a coroutine run until it waits for something.
  template <class T>
  Task<T> start(awaitable<T> coroutine) {
    auto task = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
    settle();
    return task;
  }
  void settle() { run_ready(context); }
  void pass(Clock::duration time) {
    clock.advance(time);
    settle();
  }

 private:
  Options complete(Options options) {
    options.clock = &clock;
    options.logger = log.logger();
    return options;
  }
};

/// Waits until it is cancelled; the clock of the manager has no part in it.
inline awaitable<> wait_for_ever() {
  detail::WaitList nobody_notifies;
  const auto executor = co_await boost::asio::this_coro::executor;
  co_await detail::wait(nobody_notifies, executor, Clock::system());
}

/// Lets coroutines wait until the test opens it.
class Gate {
 public:
  void open() {
    is_open_ = true;
    changed_.notify_all();
  }
  awaitable<> pass() {
    ++arrived_;
    const auto executor = co_await boost::asio::this_coro::executor;
    while (!is_open_) co_await detail::wait(changed_, executor, Clock::system());
  }
  std::size_t arrived() const { return arrived_; }

 private:
  bool is_open_ = false;
  std::size_t arrived_ = 0;
  detail::WaitList changed_;
};

}  // namespace roost::test

#if defined(ROOST_SEPARATE_COMPILATION)
// What nearly every file runs or starts; compiled once, by `instances.cpp`.
namespace roost {
extern template class test::Bench<testing::FakeWebSocket>;
extern template class detail::Child<void>;
extern template class detail::Child<bool>;
extern template class detail::Child<std::size_t>;
extern template class detail::Child<std::string>;
extern template class detail::Child<Disconnect>;
extern template class detail::Child<DrainReport>;
extern template class detail::Child<Published>;
extern template class detail::Child<std::shared_ptr<Connection<testing::FakeWebSocket>>>;
}  // namespace roost
#endif
