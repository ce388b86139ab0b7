// SPDX-License-Identifier: MIT
#pragma once

#include <boost/intrusive/list_hook.hpp>

#include "roost/base/log.hpp"
#include "roost/beast/transport/link.hpp"
#include "roost/runtime/detail/tasks.hpp"

// The bodies need `Listening` too: `listening.hpp` includes them.

namespace roost::detail {

struct Listening;

/// A client that has connected, until the application is done with it: one task of the gate. Its
/// coroutines are those of `run`.
class Visitor final : public boost::intrusive::list_base_hook<boost::intrusive::tag<Visitor>>,
                      public TaskGroup::Task,
                      public std::enable_shared_from_this<Visitor> {
 public:
  /// @param deadline  of its request
  Visitor(std::shared_ptr<Listening> listening, const std::shared_ptr<Link>& link,
          Clock::time_point deadline);
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;
  ~Visitor();

  /// Runs a coroutine for the client, which keeps this until it ends. @pre none runs
  void run(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> coroutine);
  /// Called when the coroutine has ended.
  void end(const std::exception_ptr& error);
  /// Called when the coroutine was destroyed before its end.
  void abandon() noexcept {}

  [[nodiscard]] Listening& listening() const noexcept { return *listening_; }

  /// The link; null once it is closed or carries a WebSocket.
  [[nodiscard]] std::shared_ptr<Link> link() const noexcept {
    std::shared_ptr<Link> link = link_.lock();
    return link && !link->has_owner() ? link : nullptr;
  }
  /// Whether the application knows of it.
  [[nodiscard]] bool is_known() const noexcept { return is_known_; }
  void become_known() noexcept {
    is_known_ = true;
    end_handshake();
  }
  /// Stops counting it as a handshake.
  void end_handshake() noexcept;
  /// Until when the request must have arrived; `Timer::never()` once it has.
  [[nodiscard]] Clock::time_point deadline() const noexcept { return deadline_; }
  void tighten_deadline(Clock::time_point latest) noexcept {
    if (deadline_ != Timer::never()) deadline_ = std::min(deadline_, latest);
  }
  Clock::time_point take_deadline() noexcept { return std::exchange(deadline_, Timer::never()); }
  [[nodiscard]] bool is_in_handshake() const noexcept { return is_in_handshake_; }
  /// Receives the link of an `Upgrade` that was destroyed without an answer.
  [[nodiscard]] std::shared_ptr<Link>& unanswered() noexcept { return unanswered_; }
  /// Whether there is such a link, and its peer still waits.
  [[nodiscard]] bool waits_for_answer() const noexcept;

 private:
  bool is_in_handshake_ = true;
  bool is_known_ = false;
  Clock::time_point deadline_;
  const std::shared_ptr<Listening> listening_;
  const std::weak_ptr<Link> link_;
  std::shared_ptr<Link> unanswered_;
};

/// Serves one connection: from its first byte to the end of the application's handler.
ROOST_DECL void begin_serving(const std::shared_ptr<Listening>& listening,
                              const std::shared_ptr<Link>& link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint);

/// Logs the current exception, which the application has thrown.
ROOST_DECL void log_failure(const Logger& logger) noexcept;

}  // namespace roost::detail
