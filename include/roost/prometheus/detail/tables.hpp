// SPDX-License-Identifier: MIT
#pragma once

#include <prometheus/metric_type.h>

#include <chrono>
#include <type_traits>

#include "roost/backplane/local_backplane.hpp"
#include "roost/manager/stats.hpp"
#include "roost/redis/stats.hpp"

// Each counter and gauge of roost is one line here. Names and units follow Prometheus's
// conventions: counters end in `_total`, units are seconds and bytes.

namespace roost::detail {

/// How one number of a snapshot is published.
template <class Stats>
struct Metric {
  const char* name;
  const char* help;
  prometheus::MetricType type;
  double (*value)(const Stats&);
};

template <auto member, class Stats>
double number(const Stats& stats) {
  if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(stats.*member)>>) {
    return static_cast<double>(stats.*member);
  } else {
    return std::chrono::duration<double>(stats.*member).count();
  }
}

inline constexpr prometheus::MetricType counter = prometheus::MetricType::Counter;
inline constexpr prometheus::MetricType gauge = prometheus::MetricType::Gauge;

// clang-format off
inline constexpr Metric<Stats> manager_metrics[] = {
    {"roost_connections", "Connections that are registered.", gauge, number<&Stats::connections>},
    {"roost_rooms", "Rooms with a member.", gauge, number<&Stats::rooms>},
    {"roost_queued_bytes", "Bytes in all outboxes together.", gauge, number<&Stats::queued_bytes>},
    {"roost_outbox_memory_bytes", "What these cost in memory, about: shared ones once.", gauge, number<&Stats::outbox_memory>},
    {"roost_blocked_connections", "Connections whose peers do not take all bytes at once.", gauge, number<&Stats::blocked>},
    {"roost_connections_accepted_total", "Connections that were registered.", counter, number<&Stats::accepted>},
    {"roost_connections_refused_total", "Connections that were refused by connect.", counter, number<&Stats::refused>},
    {"roost_broadcasts_total", "Broadcasts, awaited and posted.", counter, number<&Stats::broadcasts>},
    {"roost_messages_sent_total", "Messages taken by connections, or parked for them.", counter, number<&Stats::deliveries>},
    {"roost_messages_dropped_total", "Messages that a drop policy kept from a connection.", counter, number<&Stats::dropped>},
    {"roost_messages_conflated_total", "Messages that took the place of one with their key.", counter, number<&Stats::conflated>},
    {"roost_messages_rate_limited_total", "Messages from clients that had to wait, or were the last.", counter, number<&Stats::rate_limited>},
    {"roost_rooms_refused_total", "Refusals as a room, or its connection's rooms, were full.", counter, number<&Stats::rooms_refused>},
    {"roost_connections_refused_by_key_total", "Connections over the limits of their key.", counter, number<&Stats::refused_by_key>},
    {"roost_handshakes_evicted_total", "Handshakes that gave way to newer ones.", counter, number<&Stats::handshakes_evicted>},
    {"roost_handshakes_timed_out_total", "Handshakes that took too long.", counter, number<&Stats::handshakes_timed_out>},
    {"roost_requests_refused_total", "Requests that were answered 400, 414 or 431.", counter, number<&Stats::requests_refused>},
};

inline constexpr Metric<HeartbeatStats> heartbeat_metrics[] = {
    {"roost_heartbeat_connections", "Connections that the heartbeat watches over.", gauge, number<&HeartbeatStats::watched>},
    {"roost_heartbeat_pings_total", "Pings that were sent.", counter, number<&HeartbeatStats::pings>},
    {"roost_heartbeat_late_seconds_total", "How long the event loop was late.", counter, number<&HeartbeatStats::late>},
};

inline constexpr Metric<LocalBackplaneStats> local_backplane_metrics[] = {
    {"roost_backplane_messages_published_total", "Messages that were published here.", counter, number<&LocalBackplaneStats::published>},
    {"roost_backplane_messages_received_total", "Messages that came, those published here included.", counter, number<&LocalBackplaneStats::received>},
    {"roost_backplane_messages_dropped_total", "Messages that a handler missed because too many waited for it.", counter, number<&LocalBackplaneStats::dropped>},
    {"roost_backplane_handler_failures_total", "Calls of a handler that threw.", counter, number<&LocalBackplaneStats::failed>},
};

inline constexpr Metric<RedisStats> redis_metrics[] = {
    {"roost_backplane_messages_published_total", "Messages that were published here.", counter, number<&RedisStats::published>},
    {"roost_backplane_messages_received_total", "Messages that came, those published here included.", counter, number<&RedisStats::received>},
    {"roost_backplane_messages_dropped_total", "Messages that a handler missed because too many waited for it.", counter, number<&RedisStats::dropped>},
    {"roost_backplane_handler_failures_total", "Calls of a handler that threw.", counter, number<&RedisStats::failed>},
    {"roost_redis_connections_total", "Connections to Redis that were made.", counter, number<&RedisStats::connects>},
    {"roost_redis_writes_total", "Bursts of messages that were sent, each in one write.", counter, number<&RedisStats::writes>},
    {"roost_redis_messages_echoed_total", "Messages published here that came back.", counter, number<&RedisStats::echoes>},
    {"roost_redis_messages_skipped_total", "Messages that came and could not be read.", counter, number<&RedisStats::skipped>},
    {"roost_redis_messages_lost_total", "Messages of other replicas that did not come.", counter, number<&RedisStats::lost>},
    {"roost_redis_losses_uncertain_total", "Times that it is not known whether messages of other replicas were lost.", counter, number<&RedisStats::uncertain>},
    {"roost_redis_messages_duplicated_total", "Messages of other replicas that came again.", counter, number<&RedisStats::duplicates>},
    {"roost_redis_messages_unanswered_total", "Messages sent to Redis that got no answer.", counter, number<&RedisStats::unknown>},
    {"roost_redis_messages_unsent_total", "Messages that waited too long for Redis, and were dropped.", counter, number<&RedisStats::spool_drops>},
    {"roost_redis_messages_waiting", "Messages that wait to be sent to Redis.", gauge, number<&RedisStats::spooled>},
    {"roost_redis_messages_in_flight", "Messages that Redis has not answered yet.", gauge, number<&RedisStats::in_flight>},
};
// clang-format on

}  // namespace roost::detail
