// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <unordered_set>

#include "roost/redis/connection/codec.hpp"
#include "roost/redis/numbering/sequences.hpp"

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

  void enter(const std::string& name, Clock::time_point now = {}) {
    Channel& channel = wanted_[name];
    if (++channel.users > 1) return;
    channel.subscription = ++last_subscription_;
    channel.since = now;  // it may be subscribed still
    channel.connection = connection_;
    note_change(name);
  }
  void leave(const std::string& name) {
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
    std::vector<std::string_view> subscribe;
    std::vector<std::string_view> unsubscribe;
    for (auto change = changed_.begin(); change != end; ++change) {
      const std::string& name = *change;
      const auto found = wanted_.find(name);
      if (found == wanted_.end()) {
        if (asked_.erase(name) > 0) unsubscribe.push_back(name);
      } else if (asked_.insert(name).second) {
        subscribe.push_back(name);
        ++found->second.pending;
      }
    }
    requested_ += subscribe.size();
    leaving_ += unsubscribe.size();
    flushed_ += static_cast<std::uint64_t>(count);
    append_batches(out, "UNSUBSCRIBE", unsubscribe);
    append_batches(out, "SUBSCRIBE", subscribe);
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

}  // namespace roost::detail
