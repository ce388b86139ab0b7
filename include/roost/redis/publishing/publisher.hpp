// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "roost/redis/connection/command_connection.hpp"
#include "roost/redis/numbering/stamp.hpp"
#include "roost/redis/publishing/spool.hpp"

namespace roost::detail {

/// The connection that publishes. All messages of one turn of the loop are sent in one write, and
/// answers arrive in the order of the commands. A message that was sent is never sent again.
///
/// The publisher connects with the first message, and reconnects after each loss until it is
/// stopped.
class RedisPublisher final : public RedisCommandConnection {
 public:
  explicit RedisPublisher(RedisSharedPtr shared)
      : RedisCommandConnection(std::move(shared), "publisher"),
        spool_({shared_->options().max_spool_bytes, shared_->options().max_spool_age},
               Numbering(first_epoch(), max_channels)),
        announcements_(shared_->options().announce_interval, max_channels) {}

  /// Queues a message. While Redis is down, the outcome is known immediately.
  std::shared_ptr<Outcome> push(std::string channel, std::string text) {
    auto outcome = std::make_shared<Outcome>();
    OutcomePromise promise(outcome);
    if (is_down()) promise.give_up();
    spool_.push(std::move(channel), std::move(text), std::move(promise), shared_->now(), is_down());
    if (spool_.is_over() && !std::exchange(is_turn_ending_, true)) end_turn_later();
    begin();
    return outcome;
  }

  /// Asks the other replicas, as soon as possible, which messages they have sent since @p since.
  void ask_since(Clock::time_point since) {
    ask_since_ = ask_since_ ? std::min(*ask_since_, since) : since;
    wake();
  }
  /// Announces again which messages were sent since @p since: another replica asks for it. Requests
  /// within a short time get one answer.
  void answer_since(Clock::time_point since) {
    constexpr Clock::duration gather = std::chrono::milliseconds(500);
    announcements_.repeat(since, shared_->now() + gather);
    wake();
  }
  /// Sends a message to the backplane's own subscription, as soon as possible.
  void send_probe() {
    must_probe_ = true;
    wake();
  }

  /// Asks Redis, as soon as possible, whether it is still a primary.
  void ask_role() {
    ask_role_at_ = std::min(ask_role_at_, shared_->now());
    wake();
  }
  /// The last time at which Redis is known to have been a primary. Messages received later may have
  /// come from a Redis that other replicas no longer use.
  [[nodiscard]] Clock::time_point last_sure_of_primary() const noexcept { return primary_at_; }

  /// Calls @p hook when Redis turns out not to be a primary any more.
  void on_unusable(std::function<void(const std::string& why)> hook) {
    on_unusable_ = std::move(hook);
  }

  /// Connects, unless that has begun.
  void begin() { connect(); }
  ChildPtr stop() override { return is_up() ? end_soon() : end(); }

  [[nodiscard]] bool is_unused() const noexcept override {
    return spool_.empty() && in_flight_.empty();
  }

  void fill(RedisStats& stats) const override {
    stats.spooled += spool_.size();
    stats.spool_drops += spool_.dropped();
    stats.in_flight += in_flight_.size();
  }

 private:
  struct InFlight {
    Clock::time_point since;
    OutcomePromise outcome;
    enum class Kind { message, notice, role } kind;
  };

  static constexpr std::size_t max_channels = 16'384;
  // How often to ask whether Redis is still a primary: before messages, which would be lost
  // otherwise, and when idle.
  static constexpr Clock::duration role_interval_busy = std::chrono::seconds(1);
  static constexpr Clock::duration role_interval_idle = std::chrono::seconds(5);

  // A restarted node must get a higher epoch.
  static std::uint64_t first_epoch() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }

  boost::asio::awaitable<void> prepare(RedisLink::Ptr) override { co_return; }
  void on_up() override {
    note_primary(shared_->now());
    note_role_asked(shared_->now());
    if (!lost_at_) return;
    // Messages on their way may be lost, and announcements too.
    const RedisOptions& options = shared_->options();
    announcements_.repeat(*lost_at_ - options.announce_interval - options.command_timeout,
                          shared_->now());
    lost_at_.reset();
  }
  void on_down(const std::string&, bool was_up) override {
    // Messages and announcements sent since then may not have reached anybody.
    if (was_up) lost_at_ = primary_at_;
    lose_what_is_in_flight();
    spool_.give_up_waiting();
    spool_.shrink();
  }
  void on_end() override {
    must_probe_ = false;
    ask_since_.reset();
    refused_since_.reset();
    primary_at_ = Clock::time_point::max();
    lose_what_is_in_flight();
    spool_.clear();
  }
  // All messages of the current turn form one burst, since none could be sent yet.
  void end_turn_later() {
    const auto self = std::static_pointer_cast<RedisPublisher>(shared_from_this());
    boost::asio::post(shared_->executor(), [self] {
      self->is_turn_ending_ = false;
      self->spool_.end_turn();
    });
  }
  [[nodiscard]] bool has_messages() const noexcept override {
    return !spool_.empty() ||
           std::any_of(in_flight_.begin(), in_flight_.end(),
                       [](const InFlight& sent) { return sent.kind == InFlight::Kind::message; });
  }
  void lose_what_is_in_flight() {
    for (InFlight& sent : std::exchange(in_flight_, {})) {
      if (sent.kind == InFlight::Kind::message) ++shared_->stats.unknown;
      sent.outcome.tell({.error = make_error_code(errc::outcome_unknown)});
    }
  }

  void on_reply(RedisLink& link, RedisReply& reply) override {
    if (in_flight_.empty()) {
      throw RedisTrouble("a reply without a command: " + reply.text);
    }
    InFlight sent = std::move(in_flight_.front());
    in_flight_.pop_front();
    ++answered_;
    if (sent.kind == InFlight::Kind::role) {
      check_role(link, RedisRole(reply), sent.since);
    } else if (reply.is_integer()) {
      sent.outcome.tell({.receivers = static_cast<std::size_t>(reply.integer)});
    } else {
      shared_->log(Severity::warning, "redis_publish_refused", {{"why", reply.text}});
      const bool is_for_good = reply.text.starts_with("NOPERM");
      if (sent.kind == InFlight::Kind::notice && !is_for_good) note_refused_notice(sent.since);
      sent.outcome.give_up();
    }
    if (is_stopping()) wake();
  }
  // The notice may have been an announcement: without it the loss of the last messages would not be
  // noticed.
  void note_refused_notice(Clock::time_point since) {
    const RedisOptions& options = shared_->options();
    const auto first = since - options.announce_interval - options.command_timeout;
    refused_since_ = refused_since_ ? std::min(*refused_since_, first) : first;
    announcements_.repeat(*refused_since_, shared_->now() + options.announce_interval);
    wake();
  }

  // A primary may become a replica, and then still receives its own messages.
  void check_role(RedisLink& link, const RedisRole& role, Clock::time_point asked_at) {
    if (link.is_usable(role)) return note_primary(asked_at);
    link.close(role.why());
    on_unusable_redis(role.why());
  }
  void on_unusable_redis(const std::string& why) override {
    if (on_unusable_) on_unusable_(why);
  }

  void take_burst(std::string& burst) override {
    const Clock::time_point now = shared_->now();
    const std::size_t before = in_flight_.size();
    burst_begins_ = answered_ + before;
    // Before the messages, so that messages which reach nobody are not taken for sent.
    const bool is_due = now >= ask_role_at_ || (!spool_.empty() && now >= ask_role_before_message_);
    if (is_due) {
      note_role_asked(now);
      append_command(burst, {"ROLE"});
      in_flight_.push_back({now, OutcomePromise(), InFlight::Kind::role});
    }
    while (burst.size() < burst_bytes) {
      std::optional<SpooledMessage> message = spool_.pop(now);
      if (!message) break;
      const SequenceStamp stamp{shared_->node(), message->number.epoch, message->number.sequence};
      append_publish(burst, message->channel, message->text, stamp);
      in_flight_.push_back({now, std::move(message->outcome), InFlight::Kind::message});
      announcements_.note_sent(message->channel, message->number, message->since, now);
    }
    take_announcements(burst, now);
    if (ask_since_) {
      const Clock::duration away = now - *std::exchange(ask_since_, std::nullopt);
      append_notice(burst, shared_->control_channel(), ask_text(shared_->node(), away), now);
    }
    if (std::exchange(must_probe_, false)) {
      append_notice(burst, shared_->probe_channel(), "probe", now);
    }
    in_burst_ = in_flight_.size() - before;
    if (in_burst_ > 0) ++shared_->stats.writes;
  }
  void note_role_asked(Clock::time_point now) {
    ask_role_at_ = now + std::min(role_interval_idle, shared_->options().probe_interval);
    ask_role_before_message_ = now + role_interval_busy;
  }
  void note_primary(Clock::time_point asked_at) noexcept { primary_at_ = asked_at; }
  // The time limit of the answers begins when the whole burst is sent, which may take a while.
  void on_sent() override {
    const Clock::time_point now = shared_->now();
    const auto gone = answered_ > burst_begins_ ? answered_ - burst_begins_ : 0;
    if (gone >= in_burst_) return;
    const auto left = static_cast<std::ptrdiff_t>(in_burst_ - gone);
    for (auto sent = in_flight_.end() - left; sent != in_flight_.end(); ++sent) sent->since = now;
  }

  void take_announcements(std::string& burst, Clock::time_point now) {
    if (announcements_.due() > now || !spool_.empty()) return;
    while (burst.size() < burst_bytes) {
      const std::optional<SentSoFar> sent = announcements_.take();
      if (!sent) return;
      // An announcement goes to the replicas that get the channel's messages, and to no others.
      const bool is_for_all = sent->channel == shared_->options().channel;
      append_notice(burst, is_for_all ? shared_->control_channel() : sent->channel,
                    announcement_text(shared_->node(), *sent, now), now);
    }
  }
  void append_notice(std::string& burst, std::string_view channel, std::string_view text,
                     Clock::time_point now) {
    append_command(burst, {"PUBLISH", channel, text});
    in_flight_.push_back({now, OutcomePromise(), InFlight::Kind::notice});
  }

  [[nodiscard]] Clock::time_point next_burst() override {
    return std::min(announcements_.due(), ask_role_at_);
  }
  // The time limit restarts with each of many answers.
  [[nodiscard]] Clock::time_point answer_due() const override {
    if (in_flight_.empty()) return Timer::never();
    return std::max(in_flight_.front().since, heard_at()) + shared_->options().command_timeout;
  }

  Spool spool_;
  std::deque<InFlight> in_flight_;
  bool must_probe_ = false;
  Announcements announcements_;
  std::optional<Clock::time_point> lost_at_;    // when the connection was lost
  std::optional<Clock::time_point> ask_since_;  // from then on messages may have been missed
  // Asking also checks a connection that was silent for long; otherwise the next message would be
  // lost to find that out.
  Clock::time_point ask_role_at_ = Timer::never();
  Clock::time_point ask_role_before_message_{};
  Clock::time_point primary_at_ = Clock::time_point::max();  // when last asked as a primary
  std::optional<Clock::time_point> refused_since_;  // announcements since then may be unknown
  std::uint64_t answered_ = 0;                      // commands
  std::uint64_t burst_begins_ = 0;                  // the number of the last burst's first command
  std::size_t in_burst_ = 0;                        // commands in the last burst
  std::function<void(const std::string&)> on_unusable_;

  bool is_turn_ending_ = false;
};

}  // namespace roost::detail
