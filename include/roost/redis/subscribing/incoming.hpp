// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "roost/backplane/detail/handler_queues.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/numbering/stamp.hpp"
#include "roost/redis/subscribing/channels.hpp"

namespace roost::detail {

/// Handles messages from the channels: each goes into the queues of the handlers once. Lost
/// messages are reported, and texts that are not a message are skipped.
class RedisIncoming {
 public:
  using LossHook = std::function<void(const RedisLoss&)>;

  RedisIncoming(RedisSharedPtr shared, std::shared_ptr<Inbound> inbound)
      : shared_(std::move(shared)),
        inbound_(std::move(inbound)),
        sequences_(max_publishers,
                   shared_->options().announce_interval + shared_->options().command_timeout) {}

  void on_loss(LossHook hook) { loss_hooks_.push_back(std::move(hook)); }
  /// Forgets which messages have arrived.
  void clear() noexcept { sequences_.clear(); }

  /// Handles a message.
  /// @param now  when the message arrived
  void on_message(const std::string& channel, const ListeningSince& listening, std::string& text,
                  Clock::time_point now = {}) {
    std::optional<SequenceStamp> stamp = cut_stamp(text);
    if (stamp && stamp->node == shared_->node()) return note_echo();
    const auto parcel = std::make_shared<Parcel>(std::move(text));
    if (const Skipped* const skipped = parcel->skipped()) {
      ++shared_->stats.skipped;
      return shared_->log(Severity::warning, "backplane_message_skipped",
                          {{"channel", channel}, {"why", skipped->why}});
    }
    if (!stamp && parcel->has_others()) {
      stamp = find_stamp(parcel->text()).stamp();
      if (stamp && stamp->node == shared_->node()) return note_echo();
      if (stamp) parcel->hide(stamp_fields);
    }
    if (stamp) {
      const SequenceVerdict verdict = sequences_.note(channel, listening, *stamp, now);
      report(channel, stamp->node, verdict);
      report_others();
      if (verdict.kind == SequenceVerdict::Kind::duplicate) return;
    }
    inbound_->collect(parcel);
  }

  /// When the next message in doubt must be reported.
  [[nodiscard]] Clock::time_point next_expiry() const noexcept { return sequences_.next_expiry(); }
  void expire() {
    sequences_.expire(shared_->now());
    report_others();
  }

  /// Handles a message of the control channel: an announcement, or a request for announcements.
  /// @returns how long the sender of a request was disconnected.
  std::optional<Clock::duration> on_control(const std::string& text, const Channels& channels) {
    const auto sender = find_stamp(text).sender();
    if (!sender || sender->node == shared_->node()) return std::nullopt;
    if (json_depth(text) > max_json_depth) return std::nullopt;
    const nlohmann::json notice = parse_json(text);
    if (const auto announcement = read_announcement(*sender, notice, shared_->now())) {
      on_announcement(*announcement, channels);
    }
    return read_ask(notice);
  }

 private:
  static constexpr std::size_t max_publishers = 16'384;  // some MiB

  void on_announcement(const Announcement& announcement, const Channels& channels) {
    for (const auto& [channel, sequence] : announcement.last) {
      const Channels::Channel* wanted = channels.find(channel);
      if (!wanted || wanted->pending > 0) continue;
      SequenceStamp stamp = announcement.sender;
      stamp.sequence = sequence;
      const auto found = announcement.times.find(channel);
      std::optional<SendTimes> times;
      if (found != announcement.times.end()) times = found->second;
      const SequenceVerdict verdict =
          sequences_.announced(channel, channels.listening(*wanted), stamp, times, shared_->now());
      report_others();
      report(channel, stamp.node, verdict);
    }
  }

  // Counts a message of our own; the handlers have it already.
  void note_echo() noexcept { ++shared_->stats.echoes; }

  void report(const std::string& channel, const std::string& node, const SequenceVerdict& verdict) {
    using Kind = SequenceVerdict::Kind;
    if (verdict.kind == Kind::expected) return;
    const RedisLoss loss{.is_duplicate = verdict.kind == Kind::duplicate,
                         .node = node,
                         .channel = channel,
                         .first = verdict.first,
                         .last = verdict.last,
                         .is_uncertain = verdict.kind == Kind::unknown};
    if (loss.is_uncertain) {
      ++shared_->stats.uncertain;
    } else {
      (loss.is_duplicate ? shared_->stats.duplicates : shared_->stats.lost) += loss.count();
    }
    log_loss(loss);
    for (const LossHook& hook : loss_hooks_) call_later(shared_, hook, loss);
  }

  void report_others() {
    if (!sequences_.has_reports()) return;
    for (const Sequences::Report& found : sequences_.take_reports()) {
      report(found.channel, found.node, found.verdict);
    }
  }
  void log_loss(const RedisLoss& loss) {
    const std::initializer_list<LogField> fields = {{"channel", loss.channel},
                                                    {"node", loss.node},
                                                    {"first", std::to_string(loss.first)},
                                                    {"last", std::to_string(loss.last)}};
    if (!loss.is_uncertain) {
      return shared_->log(Severity::warning,
                          loss.is_duplicate ? "redis_duplicate_messages" : "redis_lost_messages",
                          fields);
    }
    shared_->log_limited(Severity::warning, "redis_uncertain_messages", fields);
  }

  const RedisSharedPtr shared_;
  const std::shared_ptr<Inbound> inbound_;
  std::vector<LossHook> loss_hooks_;
  Sequences sequences_;
};

}  // namespace roost::detail
