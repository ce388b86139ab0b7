// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "roost/detail/inbound.hpp"
#include "roost/detail/parcel.hpp"
#include "roost/detail/wire_message.hpp"
#include "roost/redis/detail/channels.hpp"
#include "roost/redis/detail/sequences.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/detail/stamp.hpp"

namespace roost::detail {

/// What comes over the channels: each message goes to the handlers once, what did not come is
/// reported, and what is no message is skipped.
class RedisIncoming {
 public:
  using LossHook = std::function<void(const RedisLoss&)>;

  RedisIncoming(RedisSharedPtr shared, std::shared_ptr<Inbound> inbound)
      : shared_(std::move(shared)), inbound_(std::move(inbound)), sequences_(max_publishers) {}

  void on_loss(LossHook hook) { loss_hooks_.push_back(std::move(hook)); }
  /// Forgets which messages have come.
  void clear() noexcept { sequences_.clear(); }

  void on_message(const std::string& channel, std::uint64_t subscription, std::string& text) {
    std::optional<SequenceStamp> stamp = cut_stamp(text);
    if (stamp && stamp->node == shared_->node()) return note_echo();
    auto parcel = std::make_shared<const Parcel>(std::move(text));
    if (!parcel->is_plain()) {
      OrSkipped<nlohmann::json> parsed = parse_message(parcel->text());
      const auto* const skipped = std::get_if<Skipped>(&parsed);
      if (skipped && !parcel->is_scanned()) {
        ++shared_->stats.skipped;
        return shared_->log(Severity::warning, "backplane_message_skipped",
                            {{"channel", channel}, {"why", skipped->why}});
      }
      if (!skipped) {
        auto& message = std::get<nlohmann::json>(parsed);
        if (!stamp) stamp = take_stamp(message);
        parcel = std::make_shared<const Parcel>(parcel->text(), std::move(message));
      }
    }
    if (stamp) {
      if (stamp->node == shared_->node()) return note_echo();
      const SequenceVerdict verdict = sequences_.note(channel, subscription, *stamp);
      report(channel, stamp->node, verdict);
      if (verdict.kind == SequenceVerdict::Kind::duplicate) return;
    }
    inbound_->collect(parcel);
  }

  /// After some messages: calls the handlers.
  void flush() { inbound_->flush(); }

  /// Whether handlers had better have a turn before more is read: what is not read here waits at
  /// Redis, and in the sockets.
  [[nodiscard]] bool is_crowded() { return inbound_->is_crowded(); }

  /// Others tell the numbers of their last messages.
  void on_control(const std::string& text, const Channels& channels) {
    const OrSkipped<nlohmann::json> parsed = parse_message(text);
    const auto* message = std::get_if<nlohmann::json>(&parsed);
    if (!message) return;
    const auto announcement = read_announcement(*message);
    if (!announcement || announcement->sender.node == shared_->node()) return;
    for (const auto& [channel, sequence] : announcement->last) {
      const Channels::Channel* wanted = channels.find(channel);
      if (!wanted || wanted->pending > 0) continue;
      SequenceStamp stamp = announcement->sender;
      stamp.sequence = sequence;
      report(channel, stamp.node, sequences_.announced(channel, wanted->subscription, stamp));
    }
  }

 private:
  static constexpr std::size_t max_publishers = 4096;

  // Its handlers have the message already.
  void note_echo() noexcept { ++shared_->stats.echoes; }

  void report(const std::string& channel, const std::string& node, const SequenceVerdict& verdict) {
    if (verdict.kind == SequenceVerdict::Kind::expected) return;
    const RedisLoss loss{.is_duplicate = verdict.kind == SequenceVerdict::Kind::duplicate,
                         .node = node,
                         .channel = channel,
                         .first = verdict.first,
                         .last = verdict.last};
    (loss.is_duplicate ? shared_->stats.duplicates : shared_->stats.lost) += loss.count();
    shared_->log(Severity::warning,
                 loss.is_duplicate ? "redis_duplicate_messages" : "redis_lost_messages",
                 {{"channel", channel},
                  {"node", node},
                  {"first", std::to_string(loss.first)},
                  {"last", std::to_string(loss.last)}});
    for (const LossHook& hook : loss_hooks_) call_later(shared_, hook, loss);
  }

  const RedisSharedPtr shared_;
  const std::shared_ptr<Inbound> inbound_;
  std::vector<LossHook> loss_hooks_;
  Sequences sequences_;
};

}  // namespace roost::detail
