// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include "roost/base/build/config.hpp"
#include "roost/runtime/detail/callback.hpp"

namespace roost::detail {

/// Lets one coroutine sleep until it is woken. Owns the coroutine meanwhile.
///
/// Cheaper than a timer that is cancelled, and can wake the coroutine without a turn of the loop.
class Sleeper {
 public:
  Sleeper() = default;
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] bool is_sleeping() const noexcept { return static_cast<bool>(handler_); }

  /// Sleeps until woken.
  /// @param home  the executor on which `wake_here` is called; valid while the coroutine sleeps
  /// @pre no coroutine sleeps
  /// @par Cancellation  throws `operation_aborted`.
  [[nodiscard]] auto sleep(const boost::asio::any_io_executor& home) {
    return boost::asio::async_initiate<const boost::asio::deferred_t,
                                       void(boost::system::error_code)>(
        // Pointers, because the coroutine keeps these arguments while it sleeps.
        [](auto handler, Sleeper* self, const boost::asio::any_io_executor* home_executor) {
          boost::asio::any_io_executor own =
              boost::asio::get_associated_executor(handler, *home_executor);
          self->home_ = home_executor;
          self->abroad_.reset();
          if (own != *home_executor) {
            self->abroad_ = std::make_unique<boost::asio::any_io_executor>(std::move(own));
          }
          self->fall_asleep(std::move(handler));
        },
        boost::asio::deferred, this, &home);
  }

  /// Resumes the sleeping coroutine, if there is one, in a later turn of its executor.
  void wake(boost::system::error_code error = {});
  /// Resumes the sleeping coroutine before this function returns, if its executor is that of
  /// `sleep`; else does what `wake` does.
  /// @pre the callers can cope with any action of the application in this call
  void wake_here();
  /// Destroys the sleeping coroutine, if there is one: nobody will wake it.
  void forget();

 private:
  // That of a coroutine is two pointers.
  using Handler = Callback<void(boost::system::error_code), 2 * sizeof(void*)>;

  template <class AnyHandler>
  void fall_asleep(AnyHandler handler) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    handler_ = Handler(std::move(handler));
    if (!slot.is_connected()) return;
    slot.assign([this](boost::asio::cancellation_type type) {
      if (type != boost::asio::cancellation_type::none) {
        wake(boost::asio::error::operation_aborted);
      }
    });
  }

  Handler handler_;
  const boost::asio::any_io_executor* home_ = nullptr;
  std::unique_ptr<boost::asio::any_io_executor> abroad_;  // set while it sleeps on another one
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/sleeper.ipp"
#endif
