// SPDX-License-Identifier: MIT
#pragma once

#include <random>

#include "roost/redis/connection/link.hpp"
#include "roost/runtime/detail/loop_clock.hpp"

namespace roost::detail {

/// The state that the connections of a `RedisBackplane` share.
class RedisShared {
 public:
  RedisShared(boost::asio::any_io_executor executor, RedisTarget target)
      : target_(on_loop(executor, std::move(target))), executor_(std::move(executor)) {}

  [[nodiscard]] const RedisTargetPtr& target() const noexcept { return target_; }
  [[nodiscard]] const RedisOptions& options() const noexcept { return target_->options; }
  [[nodiscard]] Clock& clock() const noexcept { return *options().clock; }
  [[nodiscard]] Clock::time_point now() const noexcept { return clock().now(); }
  /// Identifies this backplane among all others.
  [[nodiscard]] const std::string& node() const noexcept { return node_; }

  // Kept, because every message that arrives is compared with them.
  [[nodiscard]] const std::string& control_channel() const noexcept { return control_channel_; }
  [[nodiscard]] const std::string& probe_channel() const noexcept { return probe_channel_; }
  /// The channel that only the backplane @p node listens to.
  [[nodiscard]] std::string probe_channel_of(const std::string& node) const {
    return options().channel + ":probe:" + node;
  }

  /// The executor; empty once the backplane or its `io_context` is gone. From any thread.
  [[nodiscard]] boost::asio::any_io_executor executor() const {
    const std::lock_guard lock(mutex_);
    return executor_;
  }
  void drop_executor() noexcept {
    const std::lock_guard lock(mutex_);
    executor_ = boost::asio::any_io_executor();
  }
  [[nodiscard]] bool is_gone() const noexcept {
    const std::lock_guard lock(mutex_);
    return !executor_;
  }

  void log(Severity severity, std::string_view event,
           std::initializer_list<LogField> fields) const noexcept {
    if (!is_gone()) detail::log(options().logger, severity, event, fields);
  }
  /// Logs an event at most once a second. On the executor.
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept {
    if (!is_gone()) log_throttled(options().logger, throttle_, now(), severity, event, fields);
  }
  void log_connected(std::string_view connection) const {
    log(Severity::info, "redis_connected",
        {{"connection", connection}, {"where", target_->url.where()}});
  }
  void log_lost(std::string_view connection, std::string_view why) const {
    log(Severity::warning, "redis_lost",
        {{"connection", connection}, {"where", target_->url.where()}, {"why", why}});
  }

  void log_not_connected(std::string_view connection, std::string_view why,
                         std::uint64_t attempts) const {
    log(Severity::warning, "redis_not_connected",
        {{"connection", connection},
         {"where", target_->url.where()},
         {"why", why},
         {"attempts", std::to_string(attempts)}});
  }
  /// Logs once that Redis could not be asked whether it is a primary; it is used nevertheless.
  void note_role(const RedisRole& role) {
    if (role.is_known() || std::exchange(is_role_logged_, true)) return;
    log(Severity::warning, "redis_role_unknown",
        {{"where", target_->url.where()}, {"why", role.refusal()}});
  }

  /// A random number, evenly distributed from 0 to below 1.
  static double random_share() {
    std::random_device device;
    return static_cast<double>(device()) / (static_cast<double>(std::random_device::max()) + 1.0);
  }

  /// On the executor only.
  RedisStats stats;

 private:
  static RedisTargetPtr on_loop(const boost::asio::any_io_executor& executor, RedisTarget target) {
    struct Owned {
      std::shared_ptr<LoopClock> loop;
      RedisTarget target;
    };
    auto loop = LoopClock::of(executor, *target.options.clock);
    target.options.clock = loop.get();
    const auto owned = std::make_shared<const Owned>(Owned{std::move(loop), std::move(target)});
    return {owned, &owned->target};
  }

  const RedisTargetPtr target_;
  const std::string node_ = random_id();
  const std::string control_channel_ = options().channel + ":control";
  const std::string probe_channel_ = probe_channel_of(node_);
  bool is_role_logged_ = false;
  LogThrottle throttle_;
  mutable std::mutex mutex_;
  boost::asio::any_io_executor executor_;
};
using RedisSharedPtr = std::shared_ptr<RedisShared>;

/// Calls a hook of the application in a later turn. The hook may do anything, even destroy the
/// backplane.
template <class Hook, class Argument>
void call_later(const RedisSharedPtr& shared, Hook hook, Argument argument) {
  const boost::asio::any_io_executor executor = shared->executor();
  if (!executor) return;
  boost::asio::post(executor, [shared, hook = std::move(hook), argument = std::move(argument)] {
    if (shared->is_gone()) return;
    try {
      hook(argument);
    } catch (...) {
      shared->log(Severity::warning, "redis_hook_failed",
                  {{"why", describe(std::current_exception())}});
    }
  });
}

/// Checks the options.
/// @par Errors  `errc::invalid_url`; `errc::invalid_option`, naming the field.
[[nodiscard]] inline RedisTarget validated(RedisOptions options) {
  // A longer duration is meant as "never", and would overflow when added to a time.
  const auto check_time = [&](Clock::duration time, const std::string& name) {
    check_option(time > Clock::duration::zero(), (name + " must be above 0").c_str());
    check_option(time <= std::chrono::hours(24 * 365), (name + " must be at most a year").c_str());
  };
  check_time(options.connect_timeout, "connect_timeout");
  check_time(options.command_timeout, "command_timeout");
  check_time(options.min_retry_delay, "min_retry_delay");
  check_time(options.max_retry_delay, "max_retry_delay");
  check_time(options.probe_interval, "probe_interval");
  check_time(options.announce_interval, "announce_interval");
  check_time(options.max_spool_age, "max_spool_age");
  check_option(!options.channel.empty() && is_utf8(options.channel),
               "channel must be text, not empty");
  check_option(!options.presence || options.registry, "presence needs registry");
  check_option(options.label.size() <= 255 && is_utf8(options.label),
               "label must be UTF-8 of at most 255 bytes");
  check_option(options.max_retry_delay >= options.min_retry_delay,
               "max_retry_delay must be at least min_retry_delay");
  // A `RedisReader` rejects replies of over 64 MiB: a larger message would end the connections of
  // other replicas.
  check_option(options.max_message_bytes > 0 && options.max_message_bytes <= 66'060'288,
               "max_message_bytes must be 1 to 66060288");
  check_option(options.max_spool_bytes >= 4096 &&
                   options.max_spool_bytes - 4096 >= options.max_message_bytes,
               "max_spool_bytes must be at least max_message_bytes + 4096");
  check_option(options.max_queued_messages > 0, "max_queued_messages must be at least 1");
  check_option(options.max_queued_bytes >= options.max_message_bytes,
               "max_queued_bytes must be at least max_message_bytes");
  check_option(options.clock != nullptr, "clock must not be null");
  RedisUrl url = parse_redis_url(options.url);
  const bool is_tls = url.transport == RedisUrl::Transport::tls;
  check_option(options.certificate_file.empty() == options.private_key_file.empty(),
               "certificate_file and private_key_file must be set together");
  check_option(is_tls || options.certificate_file.empty(),
               "certificate_file needs a url that begins with rediss:// or valkeys://");
  check_option(is_tls || options.server_name.empty(),
               "server_name needs a url that begins with rediss:// or valkeys://");
  check_option(options.server_name.find('\0') == std::string::npos,
               "server_name must not hold a NUL");
  RedisTarget target{.url = std::move(url), .options = std::move(options)};
  if (!target.url.sentinels.empty()) {
    target.sentinels = std::make_shared<SentinelList>(SentinelList{target.url.sentinels});
  }
  return target;
}

}  // namespace roost::detail
