// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "roost/redis/detail/codec.hpp"

namespace roost::detail {

/// Which channels are wanted, which Redis has been asked for on this connection, and how much of
/// that it has acknowledged: in the order of the commands.
class Channels {
 public:
  static constexpr std::size_t batch = 512;  // channels of one command

  struct Channel {
    std::size_t users = 0;
    std::uint64_t subscription = 0;  ///< Another each time that it is wanted anew.
    std::size_t pending = 0;         ///< Not acknowledged.
  };

  void enter(const std::string& name) {
    Channel& channel = wanted_[name];
    if (++channel.users > 1) return;
    channel.subscription = ++last_subscription_;
    if (is_connected_) changed_.push_back(name);
  }
  void leave(const std::string& name) {
    const auto found = wanted_.find(name);
    if (found == wanted_.end() || --found->second.users > 0) return;
    wanted_.erase(found);
    if (is_connected_) changed_.push_back(name);
  }
  /// Null if it is not wanted.
  [[nodiscard]] const Channel* find(const std::string& name) const {
    const auto found = wanted_.find(name);
    return found == wanted_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t size() const noexcept { return wanted_.size(); }

  /// There is a new connection: everything is to be asked for again.
  void connect() {
    disconnect();
    is_connected_ = true;
    changed_.reserve(wanted_.size());
    for (const auto& [name, channel] : wanted_) changed_.push_back(name);
  }
  void disconnect() noexcept {
    is_connected_ = false;
    changed_.clear();
    asked_.clear();
    requested_ = acknowledged_ = 0;
    for (auto& [name, channel] : wanted_) channel.pending = 0;
  }

  /// Appends the commands for what has changed.
  void flush(std::string& out) {
    if (changed_.empty()) return;
    std::vector<std::string_view> subscribe;
    std::vector<std::string_view> unsubscribe;
    for (const std::string& name : changed_) {
      const auto found = wanted_.find(name);
      if (found == wanted_.end()) {
        if (asked_.erase(name) > 0) unsubscribe.push_back(name);
      } else if (asked_.insert(name).second) {
        subscribe.push_back(name);
        ++found->second.pending;
      }
    }
    requested_ += subscribe.size();
    append_batches(out, "UNSUBSCRIBE", unsubscribe);
    append_batches(out, "SUBSCRIBE", subscribe);
    changed_.clear();
  }
  void acknowledge(const std::string& name) {
    ++acknowledged_;
    const auto found = wanted_.find(name);
    if (found != wanted_.end() && found->second.pending > 0) --found->second.pending;
  }
  /// How many subscriptions were asked for, and acknowledged, on this connection.
  [[nodiscard]] std::uint64_t requested() const noexcept { return requested_; }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }

 private:
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
  std::vector<std::string> changed_;
  bool is_connected_ = false;
  std::uint64_t last_subscription_ = 0;
  std::uint64_t requested_ = 0;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace roost::detail
