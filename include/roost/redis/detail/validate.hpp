// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "roost/clock.hpp"
#include "roost/detail/utf8.hpp"
#include "roost/error.hpp"
#include "roost/redis/detail/link.hpp"
#include "roost/redis/detail/url.hpp"
#include "roost/redis/options.hpp"

namespace roost::detail {

/// @par Errors  `errc::invalid_url`; `errc::invalid_option`, naming the field.
[[nodiscard]] inline RedisTarget validated(RedisOptions options) {
  const auto check = [](bool ok, const char* what) {
    if (!ok) throw Error(errc::invalid_option, what);
  };
  // What is longer is meant as never, and would overflow when it is added to a time.
  const auto check_time = [&](Clock::duration time, const std::string& name) {
    check(time > Clock::duration::zero(), (name + " must be above 0").c_str());
    check(time <= std::chrono::hours(24 * 365), (name + " must be at most a year").c_str());
  };
  check_time(options.connect_timeout, "connect_timeout");
  check_time(options.command_timeout, "command_timeout");
  check_time(options.min_retry_delay, "min_retry_delay");
  check_time(options.max_retry_delay, "max_retry_delay");
  check_time(options.probe_interval, "probe_interval");
  check_time(options.announce_interval, "announce_interval");
  check_time(options.max_spool_age, "max_spool_age");
  check(!options.channel.empty() && is_utf8(options.channel), "channel must be text, not empty");
  check(options.max_retry_delay >= options.min_retry_delay,
        "max_retry_delay must be at least min_retry_delay");
  // A reader refuses replies of over 64 MiB: such a message would end the connections of others.
  check(options.max_message_bytes > 0 && options.max_message_bytes <= 66'060'288,
        "max_message_bytes must be 1 to 66060288");
  check(options.max_spool_bytes >= 4096 &&
            options.max_spool_bytes - 4096 >= options.max_message_bytes,
        "max_spool_bytes must be at least max_message_bytes + 4096");
  check(options.max_queued_messages > 0, "max_queued_messages must be at least 1");
  check(options.max_queued_bytes >= options.max_message_bytes,
        "max_queued_bytes must be at least max_message_bytes");
  check(options.clock != nullptr, "clock must not be null");
  RedisUrl url = parse_redis_url(options.url);
  const bool is_tls = url.transport == RedisUrl::Transport::tls;
  check(options.certificate_file.empty() == options.private_key_file.empty(),
        "certificate_file and private_key_file must be set together");
  check(is_tls || options.certificate_file.empty(),
        "certificate_file needs a url that begins with rediss:// or valkeys://");
  check(is_tls || options.server_name.empty(),
        "server_name needs a url that begins with rediss:// or valkeys://");
  check(options.server_name.find('\0') == std::string::npos, "server_name must not hold a NUL");
  return {.url = std::move(url), .options = std::move(options)};
}

}  // namespace roost::detail
