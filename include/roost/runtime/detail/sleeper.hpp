// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <utility>

namespace roost::detail {

/// A coroutine that sleeps until it is woken; one at a time. Owns it meanwhile.
///
/// Cheaper than a timer that is cancelled, and can be woken without a turn of the loop.
class Sleeper {
 public:
  Sleeper() = default;
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] bool is_sleeping() const noexcept { return static_cast<bool>(handler_); }

  /// What a coroutine awaits.
  /// @param home  where `wake_here` is called
  /// @pre nobody sleeps
  /// @par Cancellation  throws `operation_aborted`.
  [[nodiscard]] auto sleep(const boost::asio::any_io_executor& home) {
    return boost::asio::async_initiate<const boost::asio::deferred_t,
                                       void(boost::system::error_code)>(
        [](auto handler, Sleeper* self, const boost::asio::any_io_executor& executor) {
          self->executor_ = boost::asio::get_associated_executor(handler, executor);
          self->is_at_home_ = self->executor_ == executor;
          self->fall_asleep(std::move(handler));
        },
        boost::asio::deferred, this, home);
  }

  /// Whoever sleeps goes on when the loop gets to it.
  void wake(boost::system::error_code error = {}) {
    if (!is_sleeping()) return;
    const auto executor = std::exchange(executor_, boost::asio::any_io_executor());
    boost::asio::post(
        executor, [handler = std::move(handler_), error]() mutable { std::move(handler)(error); });
  }
  /// Whoever sleeps at home goes on before this returns.
  /// @pre nothing that called it minds what the application does now
  void wake_here() {
    if (!is_at_home_) return wake();
    if (!is_sleeping()) return;
    executor_ = boost::asio::any_io_executor();
    Handler handler(std::move(handler_));
    std::move(handler)(boost::system::error_code());
  }

 private:
  using Handler = boost::asio::any_completion_handler<void(boost::system::error_code)>;

  template <class AnyHandler>
  void fall_asleep(AnyHandler handler) {
    Handler(std::move(handler)).swap(handler_);
    // Of the erased handler: it has taken over the slot of the one within.
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (!slot.is_connected()) return;
    slot.assign([this](boost::asio::cancellation_type type) {
      if (type != boost::asio::cancellation_type::none) {
        wake(boost::asio::error::operation_aborted);
      }
    });
  }

  Handler handler_;
  boost::asio::any_io_executor executor_;  // while it sleeps: the context may go before this
  bool is_at_home_ = false;
};

}  // namespace roost::detail
