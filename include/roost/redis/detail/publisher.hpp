// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "roost/backplane.hpp"
#include "roost/clock.hpp"
#include "roost/detail/backoff.hpp"
#include "roost/detail/child.hpp"
#include "roost/detail/wait.hpp"
#include "roost/error.hpp"
#include "roost/redis/detail/link.hpp"
#include "roost/redis/detail/outcome.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/detail/spool.hpp"
#include "roost/redis/detail/stamp.hpp"

namespace roost::detail {

/// The connection that publishes: what comes in one turn of the loop goes out in one write, answers
/// come in the order of the commands. What was written is never written again.
///
/// It connects with the first message, and again after each loss, until it is stopped.
class RedisPublisher : public std::enable_shared_from_this<RedisPublisher> {
  using Self = std::shared_ptr<RedisPublisher>;

 public:
  explicit RedisPublisher(RedisSharedPtr shared)
      : shared_(std::move(shared)),
        spool_({shared_->options().max_spool_bytes, shared_->options().max_spool_age},
               Numbering(first_epoch(), max_channels)) {}

  /// Takes a message over. Its outcome is known at once while Redis is down.
  std::shared_ptr<Outcome> push(std::string channel, std::string text) {
    auto outcome = std::make_shared<Outcome>();
    OutcomePromise promise(outcome);
    if (phase_ == Phase::down) promise.give_up();
    spool_.push(std::move(channel), std::move(text), std::move(promise), shared_->now());
    begin();
    return outcome;
  }

  /// Sends a message to the backplane's own subscription, as soon as that can be done.
  void send_probe() {
    must_probe_ = true;
    work_.notify_all();
  }

  /// Connects, if it does not already.
  void begin() {
    is_stopping_ = false;
    if (phase_ == Phase::idle) {
      phase_ = Phase::connecting;
      child_ = Child<void>::start(shared_->executor(), run(shared_from_this(), ++generation_));
    } else {
      work_.notify_all();
    }
  }

  /// How long what is on its way may take to arrive when the connection is to end.
  static constexpr Clock::duration stop_grace = std::chrono::seconds(1);

  /// Ends the connection; first, but only for a moment, what is on its way may arrive.
  /// @returns what runs until then; may be null.
  std::shared_ptr<Child<void>> stop() {
    if (phase_ != Phase::up) return reset();
    is_stopping_ = true;
    stop_deadline_ = shared_->now() + stop_grace;
    work_.notify_all();
    return child_;
  }

  [[nodiscard]] bool is_unused() const noexcept { return spool_.empty() && in_flight_.empty(); }

  /// Ends everything at once. @returns what ends; may be null.
  std::shared_ptr<Child<void>> reset() {
    auto child = std::move(child_);
    release();
    if (child) child->cancel();
    return child;
  }
  /// The same where the coroutines go by themselves, with the `io_context`.
  void release() {
    ++generation_;
    child_.reset();
    phase_ = Phase::idle;
    is_stopping_ = false;
    must_probe_ = false;
    lose_what_is_in_flight();
    spool_.clear();
  }

  void fill(RedisStats& stats) const noexcept {
    stats.spooled = spool_.size();
    stats.spool_drops = spool_.dropped();
    stats.in_flight = in_flight_.size();
  }

 private:
  enum class Phase { idle, connecting, up, down };
  struct InFlight {
    Clock::time_point since;
    OutcomePromise outcome;
    bool is_message;
  };

  static constexpr std::size_t max_channels = 16'384;
  static constexpr std::size_t burst_bytes = 65'536;

  // Later ones of this node are higher.
  static std::uint64_t first_epoch() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }

  static boost::asio::awaitable<void> run(Self self, std::uint64_t generation) {
    const RedisSharedPtr shared = self->shared_;
    const boost::asio::any_io_executor executor = shared->executor();
    co_await boost::asio::post(boost::asio::use_awaitable);
    Backoff backoff(shared->options().min_retry_delay, shared->options().max_retry_delay);
    while (self->generation_ == generation) {
      std::string why;
      RedisLink::Ptr link;
      try {
        link = co_await RedisLink::connect(executor, shared->target());
      } catch (const RedisTrouble& trouble) {
        why = trouble.what();
      }
      if (self->generation_ != generation) co_return;
      if (link) {
        backoff.reset();
        self->go_up();
        co_await serve(self, link, executor);
        if (self->generation_ != generation) co_return;
        if (self->is_stopping_) co_return self->release();
        why = link->why();
      }
      self->go_down(why);
      const auto delay = backoff.next(RedisShared::random_share());
      co_await sleep_until(executor, shared->clock(), shared->now() + delay);
    }
  }

  void go_up() {
    phase_ = Phase::up;
    ++shared_->stats.connects;
    shared_->log_connected("publisher");
    if (!unannounced_.empty()) announce_at_ = shared_->now();  // what was on its way may be lost
  }
  void go_down(const std::string& why) {
    if (phase_ != Phase::down) shared_->log_lost("publisher", why);
    phase_ = Phase::down;
    lose_what_is_in_flight();
    spool_.give_up_waiting();
  }
  [[nodiscard]] bool has_messages() const noexcept {
    return !spool_.empty() || std::any_of(in_flight_.begin(), in_flight_.end(),
                                          [](const InFlight& sent) { return sent.is_message; });
  }
  void lose_what_is_in_flight() {
    for (InFlight& sent : std::exchange(in_flight_, {})) {
      if (sent.is_message) ++shared_->stats.unknown;
      sent.outcome.tell({.error = make_error_code(errc::outcome_unknown)});
    }
  }

  /// Until the connection is lost, or everything is said and it is to stop.
  static boost::asio::awaitable<void> serve(Self self, RedisLink::Ptr link,
                                            boost::asio::any_io_executor executor) {
    const RedisReading reading(executor, link, read_replies(self, link));
    Clock& clock = self->shared_->clock();
    while (link->is_open()) {
      std::string burst = self->take_burst();
      if (!burst.empty()) {
        co_await RedisLink::send(link, std::move(burst), self->shared_->target(), executor);
      } else if (self->is_stopping_ && !self->has_messages()) {
        link->close("stopped");
      } else {
        co_await wait(self->work_, executor, clock, self->next_deadline());
        self->enforce_deadlines(*link);
      }
    }
  }

  static boost::asio::awaitable<void> read_replies(Self self, RedisLink::Ptr link) {
    try {
      for (;;) {
        while (const auto reply = link->next()) self->on_reply(*reply);
        co_await RedisLink::read_more(link);
      }
    } catch (const boost::system::system_error& error) {
      link->close(RedisLink::describe(error, {}));
    } catch (const std::exception& error) {
      link->close(error.what());
    }
    self->work_.notify_all();
  }

  void on_reply(const RedisReply& reply) {
    if (in_flight_.empty()) {
      throw RedisTrouble("an answer to nothing: " + reply.text);
    }
    InFlight sent = std::move(in_flight_.front());
    in_flight_.pop_front();
    if (reply.is_integer()) {
      sent.outcome.tell({.receivers = static_cast<std::size_t>(reply.integer)});
    } else {
      shared_->log(Severity::warning, "redis_publish_refused", {{"why", reply.text}});
      sent.outcome.give_up();
    }
    if (is_stopping_) work_.notify_all();
  }

  /// Everything that is to be sent now, within a bound.
  std::string take_burst() {
    const Clock::time_point now = shared_->now();
    std::string burst;
    while (burst.size() < burst_bytes) {
      std::optional<SpooledMessage> message = spool_.pop(now);
      if (!message) break;
      const SequenceStamp stamp{shared_->node(), message->number.epoch, message->number.sequence};
      append_command(burst, {"PUBLISH", message->channel, stamped(message->text, stamp)});
      in_flight_.push_back({now, std::move(message->outcome), true});
      note_sent(*message, now);
    }
    if (announce_at_ <= now && spool_.empty()) take_announcement(burst, now);
    if (std::exchange(must_probe_, false)) {
      append_command(burst, {"PUBLISH", shared_->probe_channel(), "probe"});
      in_flight_.push_back({now, OutcomePromise(), false});
    }
    return burst;
  }

  void note_sent(const SpooledMessage& message, Clock::time_point now) {
    if (message.number.epoch != unannounced_epoch_ || unannounced_.size() >= max_channels) {
      unannounced_ = nlohmann::json::object();
      unannounced_epoch_ = message.number.epoch;
    }
    unannounced_[message.channel] = message.number.sequence;
    announce_at_ = std::min(announce_at_, now + shared_->options().announce_interval);
  }
  void take_announcement(std::string& burst, Clock::time_point now) {
    const std::string text = announcement_text(shared_->node(), unannounced_epoch_, unannounced_);
    append_command(burst, {"PUBLISH", shared_->control_channel(), text});
    in_flight_.push_back({now, OutcomePromise(), false});
    unannounced_ = nlohmann::json::object();
    announce_at_ = Timer::never();
  }

  [[nodiscard]] Clock::time_point next_deadline() const {
    Clock::time_point next = announce_at_;
    if (!in_flight_.empty()) {
      next = std::min(next, in_flight_.front().since + shared_->options().command_timeout);
    }
    return is_stopping_ ? std::min(next, stop_deadline_) : next;
  }
  void enforce_deadlines(RedisLink& link) const {
    const Clock::time_point now = shared_->now();
    const Clock::duration limit = shared_->options().command_timeout;
    if (is_stopping_ && now >= stop_deadline_) link.close("stopped");
    if (!in_flight_.empty() && now >= in_flight_.front().since + limit) {
      link.close(RedisLink::describe(Error(errc::timed_out), limit));
    }
  }

  const RedisSharedPtr shared_;
  Spool spool_;
  std::deque<InFlight> in_flight_;
  bool must_probe_ = false;
  nlohmann::json unannounced_ = nlohmann::json::object();  // channel: the last number sent
  std::uint64_t unannounced_epoch_ = 0;
  Clock::time_point announce_at_ = Timer::never();

  Phase phase_ = Phase::idle;
  bool is_stopping_ = false;
  Clock::time_point stop_deadline_{};
  std::uint64_t generation_ = 0;  // another for each run: the coroutine of an old one ends
  std::shared_ptr<Child<void>> child_;
  WaitList work_;
};

}  // namespace roost::detail
