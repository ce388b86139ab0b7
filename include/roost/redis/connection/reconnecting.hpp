// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/connection/shared.hpp"

namespace roost::detail {

/// Chooses the delay before the next attempt: a random one up to a bound that doubles with each
/// failure.
///
/// The whole delay is random ("full jitter"), so that replicas that have lost the same server do
/// not come back in lockstep.
class Backoff {
 public:
  /// @param shortest  the bound after the first failure
  /// @param longest   the highest bound
  Backoff(Clock::duration shortest, Clock::duration longest) noexcept
      : shortest_(shortest), longest_(longest), bound_(shortest) {}

  /// The delay before the next attempt.
  /// @param random  evenly distributed, 0 <= random < 1
  [[nodiscard]] Clock::duration next(double random) noexcept {
    const Clock::duration bound = bound_;
    bound_ = bound > longest_ / 2 ? longest_ : bound * 2;
    return Clock::duration(
        static_cast<Clock::duration::rep>(static_cast<double>(bound.count()) * random));
  }
  void reset() noexcept { bound_ = shortest_; }

 private:
  const Clock::duration shortest_;
  const Clock::duration longest_;
  Clock::duration bound_;
};

/// Decides which failed attempts to connect are logged: the first, as a loss; later ones if the
/// reason has changed, but not more often than every few seconds, or else once a minute.
class FailureLog {
 public:
  enum class What { nothing, loss, attempt };

  What note(const std::string& why, Clock::time_point now) {
    ++failures_;
    const auto since = logged_ ? now - *logged_ : Clock::duration::max();
    const bool is_due =
        since >= std::chrono::minutes(1) || (why != why_ && since >= std::chrono::seconds(5));
    if (!is_due) return What::nothing;
    const What what = logged_ ? What::attempt : What::loss;
    logged_ = now;
    why_ = why;
    return what;
  }
  /// Called when the connection is up, or ended.
  void clear() {
    failures_ = 0;
    logged_.reset();
    why_.clear();
  }
  /// How many attempts have failed in a row; the loss counts as the first.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

 private:
  std::uint64_t failures_ = 0;
  std::optional<Clock::time_point> logged_;
  std::string why_;
};

/// Keeps one connection: connects, and reconnects after each loss with growing delays, until it is
/// ended. Derived classes use the connection.
class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  using ChildPtr = std::shared_ptr<Child<void>>;

  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  virtual ~RedisConnection() = default;

  /// Whether the connection is made, or tried.
  [[nodiscard]] bool has_begun() const noexcept { return phase_ != Phase::idle; }
  /// Whether the connection is made.
  [[nodiscard]] bool is_up() const noexcept { return phase_ == Phase::up; }
  /// Changes each time the connection begins or ends; a coroutine with an old number must end.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  /// Closes the connection, since Redis is not a primary any more; it connects anew.
  void reconnect(const std::string& why) {
    if (const RedisLink::Ptr link = link_.lock()) link->close(why);
  }

  /// Ends everything immediately. @returns the coroutine that ends; may be null.
  ChildPtr end() {
    ChildPtr child = release();
    if (child) child->cancel();
    return child;
  }
  /// Ends the connection without cancelling its coroutine, which ends by itself. @returns that
  /// coroutine; may be null.
  ChildPtr release() {
    ++generation_;
    phase_ = Phase::idle;
    failures_.clear();
    ChildPtr child = std::exchange(child_, nullptr);
    on_end();
    return child;
  }

 protected:
  /// @param name  the name of the connection in the log
  RedisConnection(RedisSharedPtr shared, std::string_view name)
      : shared_(std::move(shared)), name_(name) {}

  /// Begins to connect.
  /// @pre the connection has ended, or has not begun
  void begin_connecting() {
    phase_ = Phase::connecting;
    child_ = Child<void>::start(shared_->executor(), run(shared_from_this(), ++generation_));
  }
  [[nodiscard]] const ChildPtr& child() const noexcept { return child_; }
  /// Whether the connection could not be made, or was lost. It is tried again.
  [[nodiscard]] bool is_down() const noexcept { return phase_ == Phase::down; }

  const RedisSharedPtr shared_;

 private:
  enum class Phase { idle, connecting, up, down };

  /// Sets the connection up before it counts as connected. Must have its own deadlines.
  virtual boost::asio::awaitable<void> prepare(RedisLink::Ptr link) = 0;
  virtual void on_up() = 0;
  /// Uses the connection until the link is closed.
  virtual boost::asio::awaitable<void> serve(RedisLink::Ptr link) = 0;
  /// Called when the connection could not be made, or was lost after it @p was_up.
  virtual void on_down(const std::string& why, bool was_up) = 0;
  /// Called when the Redis that answered cannot be used, since it is not a primary.
  virtual void on_unusable_redis(const std::string&) {}
  virtual void on_end() = 0;

  static boost::asio::awaitable<void> run(std::shared_ptr<RedisConnection> self,
                                          std::uint64_t generation) {
    const RedisSharedPtr shared = self->shared_;
    const RedisOptions& options = shared->options();
    const boost::asio::any_io_executor executor = shared->executor();
    co_await next_turn();
    std::size_t turn = 0;
    const auto pending = std::make_shared<LookupAnswerPtr>();
    Backoff backoff(options.min_retry_delay, options.max_retry_delay);
    while (self->generation_ == generation) {
      std::string why;
      bool is_unusable = false;
      RedisLink::Ptr link;
      try {
        link = co_await RedisLink::connect(executor, shared->target(), turn, pending);
        self->link_ = link;
        co_await self->prepare(link);
      } catch (const boost::system::system_error& error) {  // also if cancelled
        why = RedisLink::describe(error, options.command_timeout);
      } catch (const RedisUnusable& trouble) {
        why = trouble.what();
        is_unusable = true;
      } catch (const RedisTrouble& trouble) {
        why = trouble.what();
      }
      if (self->generation_ != generation) co_return;
      if (why.empty()) {
        backoff.reset();
        self->failures_.clear();
        ++shared->stats.connects;
        shared->log_connected(self->name_);
        shared->note_role(link->role());
        self->phase_ = Phase::up;
        self->on_up();
        co_await self->serve(link);
        if (self->generation_ != generation) co_return;
        why = link->why();
      }
      ++turn;  // the next attempt begins with another address
      self->note_failure(why, is_unusable);
      const auto delay = backoff.next(RedisShared::random_share());
      co_await sleep_until(executor, shared->clock(), shared->now() + delay);
    }
  }
  void note_failure(const std::string& why, bool is_unusable) {
    log_failure(why);
    on_down(why, std::exchange(phase_, Phase::down) == Phase::up);
    if (is_unusable) on_unusable_redis(why);
  }
  void log_failure(const std::string& why) {
    switch (failures_.note(why, shared_->now())) {
      case FailureLog::What::loss: return shared_->log_lost(name_, why);
      case FailureLog::What::attempt:
        return shared_->log_not_connected(name_, why, failures_.failures());
      case FailureLog::What::nothing: return;
    }
  }

  const std::string_view name_;
  FailureLog failures_;
  std::uint64_t generation_ = 0;
  Phase phase_ = Phase::idle;
  ChildPtr child_;
  std::weak_ptr<RedisLink> link_;
};

}  // namespace roost::detail
