// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/connection/reconnecting.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// A connection that sends commands in bursts, and gets their replies in the same order. Derived
/// classes say what to send, and know what is on its way.
class RedisCommandConnection : public RedisConnection {
 public:
  /// How long a connection that stops waits for messages on their way.
  static constexpr Clock::duration stop_grace = std::chrono::seconds(1);

  /// Ends; before that, messages on their way may arrive for a moment.
  /// @returns the coroutine that runs until the end; may be null
  virtual ChildPtr stop() = 0;
  /// Whether no message waits or is on its way.
  [[nodiscard]] virtual bool is_unused() const noexcept = 0;
  /// Adds the messages that wait or are on their way.
  virtual void fill(RedisStats& stats) const = 0;

 protected:
  using RedisConnection::RedisConnection;

  static constexpr std::size_t burst_bytes = 65'536;

  /// Connects, unless that has begun. A connection that was about to end goes on.
  void connect() {
    is_stopping_ = false;
    has_begun() ? wake() : begin_connecting();
  }
  /// Ends the connection after messages on their way have arrived, but at most after `stop_grace`.
  /// @returns the coroutine that runs until then
  ChildPtr end_soon() {
    is_stopping_ = true;
    stop_deadline_ = shared_->now() + stop_grace;
    wake();
    return child();
  }
  [[nodiscard]] bool is_stopping() const noexcept { return is_stopping_; }
  /// There is something to send, or another deadline.
  void wake() { work_.notify_all(); }
  /// When bytes arrived last.
  [[nodiscard]] Clock::time_point heard_at() const noexcept { return heard_at_; }

 private:
  /// Appends the commands to send now, up to a limit.
  virtual void take_burst(std::string& burst) = 0;
  /// The whole burst is sent, which may have taken a while.
  virtual void on_sent() = 0;
  /// @par Errors  `RedisTrouble`, which closes the link
  virtual void on_reply(RedisLink& link, RedisReply& reply) = 0;
  /// Whether messages wait, or are on their way.
  [[nodiscard]] virtual bool has_messages() const noexcept = 0;
  /// When there is something to send again, without `wake`.
  [[nodiscard]] virtual Clock::time_point next_burst() = 0;
  /// When the link is closed since the replies that are due have not arrived; `never` if none are.
  [[nodiscard]] virtual Clock::time_point answer_due() const = 0;

  boost::asio::awaitable<void> serve(RedisLink::Ptr link) final {
    const std::uint64_t its_generation = generation();
    const boost::asio::any_io_executor executor = shared_->executor();
    const auto self = std::static_pointer_cast<RedisCommandConnection>(shared_from_this());
    const RedisReading reading(executor, link, read_replies(self, link));
    while (link->is_open()) {
      take_burst(link->outgoing());
      if (!link->outgoing().empty()) {
        co_await RedisLink::send(link, shared_->target(), executor);
        if (generation() == its_generation) on_sent();
      } else if (is_stopping_ && !has_messages()) {
        link->close("stopped");
      } else {
        co_await wait(work_, executor, shared_->clock(), next_deadline());
        enforce_deadlines(*link);
      }
    }
    if (is_stopping_ && generation() == its_generation) release();
  }
  static boost::asio::awaitable<void> read_replies(std::shared_ptr<RedisCommandConnection> self,
                                                   RedisLink::Ptr link) {
    try {
      for (;;) {
        RedisReply* reply = nullptr;
        while (link->is_open() && (reply = link->next())) self->on_reply(*link, *reply);
        co_await RedisLink::read_more(link);
        self->heard_at_ = self->shared_->now();
      }
    } catch (...) {
      link->close_after_error();
    }
    self->wake();
  }

  [[nodiscard]] Clock::time_point next_deadline() {
    const Clock::time_point next = std::min(next_burst(), answer_due());
    return is_stopping_ ? std::min(next, stop_deadline_) : next;
  }
  void enforce_deadlines(RedisLink& link) const {
    const Clock::time_point now = shared_->now();
    if (is_stopping_ && now >= stop_deadline_) link.close("stopped");
    if (now < answer_due()) return;
    link.close(RedisLink::describe(Error(errc::timed_out), shared_->options().command_timeout));
  }

  bool is_stopping_ = false;
  Clock::time_point stop_deadline_{};
  Clock::time_point heard_at_{};
  WaitList work_;
};

}  // namespace roost::detail
