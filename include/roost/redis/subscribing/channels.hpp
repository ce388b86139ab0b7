// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <unordered_set>

#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/connection/shared.hpp"
#include "roost/redis/numbering/sequences.hpp"
#include "roost/redis/numbering/stamp.hpp"

namespace roost::detail {

/// The channels that are wanted, the channels that Redis was asked for on this connection, and how
/// many of these it has acknowledged, in the order of the commands.
class Channels {
 public:
  static constexpr std::size_t batch = 512;  // channels per command

  struct Channel {
    std::size_t users = 0;
    std::uint64_t subscription = 0;  ///< Changes each time it is wanted anew.
    std::size_t pending = 0;         ///< Commands without an answer.
    Clock::time_point since = {};    ///< When Redis acknowledged it first.
    std::uint64_t connection = 0;    ///< The connection on which it did.
    bool is_acknowledged = false;
  };

  void subscribe(const std::string& name, Clock::time_point now = {}) {
    Channel& channel = wanted_[name];
    if (++channel.users > 1) return;
    channel.subscription = ++last_subscription_;
    channel.since = now;  // it may be subscribed still
    channel.connection = connection_;
    note_change(name);
  }
  void unsubscribe(const std::string& name) {
    const auto found = wanted_.find(name);
    if (found == wanted_.end() || --found->second.users > 0) return;
    wanted_.erase(found);
    note_change(name);
  }
  /// A wanted channel; null if it is not wanted.
  [[nodiscard]] const Channel* find(const std::string& name) const {
    const auto found = wanted_.find(name);
    return found == wanted_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t size() const noexcept { return wanted_.size(); }
  [[nodiscard]] ListeningSince listening(const Channel& channel) const noexcept {
    return {channel.subscription, channel.since, channel.connection == connection_};
  }
  /// Marks all wanted channels as to be subscribed anew, on purpose.
  void renew() noexcept {
    for (auto& [name, channel] : wanted_) {
      channel.subscription = ++last_subscription_;
      channel.is_acknowledged = false;
    }
  }

  /// Begins a new connection, on which all wanted channels must be asked for again.
  void connect() {
    disconnect();
    is_connected_ = true;
    ++connection_;
    for (const auto& [name, channel] : wanted_) note_change(name);
  }
  void disconnect() noexcept {
    is_connected_ = false;
    changed_.clear();
    asked_.clear();
    requested_ = acknowledged_ = leaving_ = noted_ = flushed_ = 0;
    for (auto& [name, channel] : wanted_) channel.pending = 0;
  }

  /// Appends commands for changed channels, at most @p most of them, the oldest changes first.
  void flush(std::string& out, std::size_t most = SIZE_MAX) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(most, changed_.size()));
    if (count == 0) return;
    const auto end = changed_.begin() + count;
    std::vector<std::string_view> added;
    std::vector<std::string_view> removed;
    for (auto change = changed_.begin(); change != end; ++change) {
      const std::string& name = *change;
      const auto found = wanted_.find(name);
      if (found == wanted_.end()) {
        if (asked_.erase(name) > 0) removed.push_back(name);
      } else if (asked_.insert(name).second) {
        added.push_back(name);
        ++found->second.pending;
      }
    }
    requested_ += added.size();
    leaving_ += removed.size();
    flushed_ += static_cast<std::uint64_t>(count);
    append_batches(out, "UNSUBSCRIBE", removed);
    append_batches(out, "SUBSCRIBE", added);
    changed_.erase(changed_.begin(), end);
  }
  /// Whether Redis has acknowledged the subscription of a channel on this connection.
  [[nodiscard]] bool is_listening(const std::string& name) const {
    const Channel* const channel = find(name);
    return channel && channel->pending == 0 && asked_.contains(name);
  }
  [[nodiscard]] bool has_changes() const noexcept { return !changed_.empty(); }
  void acknowledge(const std::string& name, Clock::time_point now = {}) {
    ++acknowledged_;
    const auto found = wanted_.find(name);
    if (found == wanted_.end()) return;
    Channel& channel = found->second;
    if (channel.pending > 0) --channel.pending;
    if (channel.pending > 0 || std::exchange(channel.is_acknowledged, true)) return;
    channel.since = now;
    channel.connection = connection_;
  }
  void acknowledge_end() noexcept { leaving_ -= std::min<std::uint64_t>(leaving_, 1); }
  /// How many channels have commands that Redis has not answered.
  [[nodiscard]] std::size_t outstanding() const noexcept {
    return static_cast<std::size_t>(requested_ - acknowledged_ + leaving_);
  }
  /// How many changes there were on this connection.
  [[nodiscard]] std::uint64_t noted() const noexcept { return noted_; }
  /// How many of the changes were sent to Redis, or cancelled out.
  [[nodiscard]] std::uint64_t flushed() const noexcept { return flushed_; }
  /// How many subscriptions were requested on this connection. `acknowledged` counts the answers.
  [[nodiscard]] std::uint64_t requested() const noexcept { return requested_; }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }

 private:
  void note_change(const std::string& name) {
    if (!is_connected_) return;
    changed_.push_back(name);
    ++noted_;
  }
  static void append_batches(std::string& out, std::string_view command,
                             const std::vector<std::string_view>& names) {
    for (std::size_t at = 0; at < names.size(); at += batch) {
      const std::size_t end = std::min(at + batch, names.size());
      std::vector<std::string_view> arguments{command};
      arguments.insert(arguments.end(), names.begin() + static_cast<std::ptrdiff_t>(at),
                       names.begin() + static_cast<std::ptrdiff_t>(end));
      append_command(out, arguments);
    }
  }

  std::unordered_map<std::string, Channel> wanted_;
  std::unordered_set<std::string> asked_;
  std::deque<std::string> changed_;
  bool is_connected_ = false;
  std::uint64_t last_subscription_ = 0;
  std::uint64_t connection_ = 0;  // changes with each connection
  std::uint64_t requested_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t leaving_ = 0;  // unsubscribed, and not acknowledged
  std::uint64_t noted_ = 0;
  std::uint64_t flushed_ = 0;
};

/// Handles messages from the channels: each goes into the queues of the handlers once. Lost
/// messages are reported, and texts that are not a message are skipped.
class RedisIncoming {
 public:
  using LossHook = std::function<void(const RedisLoss&)>;

  RedisIncoming(RedisSharedPtr shared, std::shared_ptr<HandlerQueues> inbound)
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
  const std::shared_ptr<HandlerQueues> inbound_;
  std::vector<LossHook> loss_hooks_;
  Sequences sequences_;
};

}  // namespace roost::detail
