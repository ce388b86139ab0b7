// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/base/error.hpp"
#include "roost/redis/numbering/sequences.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The outcome of publishing a message, shared with the coroutine that waits for it.
struct Outcome {
  std::optional<Published> known = {};
  WaitList changed = {};
};

/// Sets the outcome of a message, once. If it is destroyed before, the outcome is that Redis could
/// not be reached.
class OutcomePromise {
 public:
  OutcomePromise() noexcept = default;  // nobody waits
  explicit OutcomePromise(std::shared_ptr<Outcome> outcome) noexcept
      : outcome_(std::move(outcome)) {}
  OutcomePromise(OutcomePromise&& other) noexcept = default;
  OutcomePromise& operator=(OutcomePromise&& other) noexcept {
    if (this == &other) return *this;
    give_up();
    outcome_ = std::move(other.outcome_);
    return *this;
  }
  ~OutcomePromise() {
    if (outcome_) give_up();
  }

  void tell(const Published& published) {
    const std::shared_ptr<Outcome> outcome = std::exchange(outcome_, nullptr);
    if (!outcome) return;
    outcome->known = published;
    outcome->changed.notify_all();
  }
  void give_up() { tell({.error = make_error_code(errc::backplane_unavailable)}); }

 private:
  std::shared_ptr<Outcome> outcome_;
};

/// A message that waits to be sent to Redis.
struct SpooledMessage {
  std::string channel;
  std::string text;
  Numbering::Number number;
  Clock::time_point since;
  OutcomePromise outcome;
};

struct SpoolLimits {
  std::size_t bytes;
  Clock::duration age;
};

/// The messages that wait to be sent. They are numbered on arrival, and bounded by age and by
/// bytes. While Redis is away the oldest messages are dropped. While Redis takes messages, a burst
/// of one turn is accepted at any size; after that, new messages are refused beyond a multiple of
/// the limit. Other replicas notice both by the missing numbers.
class Spool {
 public:
  Spool(SpoolLimits limits, Numbering numbering) noexcept
      : limits_(limits), numbering_(std::move(numbering)) {}

  /// @param is_away  whether Redis cannot be reached
  void push(std::string channel, std::string text, OutcomePromise outcome, Clock::time_point now,
            bool is_away) {
    const Numbering::Number number = numbering_.next(channel);
    expire(now);
    messages_.push_back({std::move(channel), std::move(text), number, now, std::move(outcome)});
    bytes_ += size_of(messages_.back());
    if (is_away) return shrink();
    if (!is_over() || is_one_turn_ || bytes_ / times_while_sending <= limits_.bytes) return;
    messages_.back().outcome.tell({.error = make_error_code(errc::backplane_full)});
    bytes_ -= size_of(messages_.back());
    messages_.pop_back();
    ++dropped_;
  }

  [[nodiscard]] bool is_over() const noexcept { return bytes_ > limits_.bytes; }
  /// Ends the turn: later messages do not belong to the burst that exceeded the limit.
  void end_turn() noexcept { is_one_turn_ = !is_over(); }
  /// Drops the oldest messages down to the limit, since Redis is away.
  void shrink() noexcept {
    while (is_over()) drop_oldest();
  }

  /// Takes the oldest message; `nullopt` if there is none.
  [[nodiscard]] std::optional<SpooledMessage> pop(Clock::time_point now) {
    expire(now);
    if (messages_.empty()) return std::nullopt;
    bytes_ -= size_of(messages_.front());
    std::optional<SpooledMessage> oldest = std::move(messages_.front());
    messages_.pop_front();
    if (!is_over()) is_one_turn_ = true;
    return oldest;
  }

  /// Tells all that wait for a message that Redis cannot be reached. The messages stay.
  void give_up_waiting() {
    for (SpooledMessage& message : messages_) message.outcome.give_up();
  }
  void clear() noexcept {
    while (!messages_.empty()) drop_oldest();
  }

  [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return messages_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// How many messages were dropped or refused.
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  // About the memory of a message: many small messages must count fully.
  static std::size_t size_of(const SpooledMessage& message) noexcept {
    return message.text.size() + message.channel.size() + sizeof(SpooledMessage);
  }
  void expire(Clock::time_point now) noexcept {
    while (!messages_.empty() && now - messages_.front().since > limits_.age) drop_oldest();
  }
  void drop_oldest() noexcept {
    bytes_ -= size_of(messages_.front());
    messages_.pop_front();
    ++dropped_;
    if (!is_over()) is_one_turn_ = true;
  }

  static constexpr std::size_t times_while_sending = 4;

  const SpoolLimits limits_;
  bool is_one_turn_ = true;  // excess over the limit came in this turn
  Numbering numbering_;
  std::deque<SpooledMessage> messages_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace roost::detail
