// SPDX-License-Identifier: MIT
#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/query.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "roost/backplane/local_stats.hpp"
#include "roost/manager/stats.hpp"
#include "roost/redis/stats.hpp"
#include "roost/runtime/detail/executor.hpp"

// The counters and gauges of roost, one per line. Names and units follow Prometheus's conventions:
// counters end in `_total`, units are seconds and bytes.

namespace roost::detail {

/// How one field of a snapshot is exported.
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
    {"roost_outbox_memory_bytes", "Memory of all outboxes and of kept replays, about; shared messages count once.", gauge, number<&Stats::outbox_memory>},
    {"roost_blocked_connections", "Connections whose peers do not take all bytes immediately.", gauge, number<&Stats::blocked>},
    {"roost_connections_accepted_total", "Connections that were registered.", counter, number<&Stats::accepted>},
    {"roost_connections_refused_total", "Connections that were refused by connect.", counter, number<&Stats::refused>},
    {"roost_broadcasts_total", "Broadcasts, awaited and posted.", counter, number<&Stats::broadcasts>},
    {"roost_messages_sent_total", "Messages accepted by connections, or parked for them.", counter, number<&Stats::deliveries>},
    {"roost_messages_dropped_total", "Messages that a drop policy kept from a connection.", counter, number<&Stats::dropped>},
    {"roost_messages_conflated_total", "Messages that took the place of one with their key.", counter, number<&Stats::conflated>},
    {"roost_messages_rate_limited_total", "Messages that exceeded the rate limit of their client.", counter, number<&Stats::rate_limited>},
    {"roost_rooms_refused_total", "Joins refused because a room, or the rooms of a connection, were full.", counter, number<&Stats::rooms_refused>},
    {"roost_rooms_recovered_total", "Rooms in which a client that came back got all that it missed.", counter, number<&Stats::recovered>},
    {"roost_rooms_not_recovered_total", "Rooms in which a client that came back was told that it cannot get all.", counter, number<&Stats::not_recovered>},
    {"roost_messages_replayed_total", "Messages from before that were offered to connections.", counter, number<&Stats::replayed>},
    {"roost_connections_refused_by_key_total", "Connections over the limits of their key.", counter, number<&Stats::refused_by_key>},
    {"roost_handshakes_evicted_total", "Handshakes that were closed in favour of newer ones.", counter, number<&Stats::handshakes_evicted>},
    {"roost_handshakes_timed_out_total", "Handshakes that took too long.", counter, number<&Stats::handshakes_timed_out>},
    {"roost_requests_refused_total", "Requests that were answered with 400, 414 or 431.", counter, number<&Stats::requests_refused>},
};

inline constexpr Metric<HeartbeatStats> heartbeat_metrics[] = {
    {"roost_heartbeat_connections", "Connections that the heartbeat watches.", gauge, number<&HeartbeatStats::watched>},
    {"roost_heartbeat_pings_total", "Pings that were sent.", counter, number<&HeartbeatStats::pings>},
    {"roost_heartbeat_late_seconds_total", "How long the event loop was late.", counter, number<&HeartbeatStats::late>},
};

inline constexpr Metric<LocalHubStats> local_hub_metrics[] = {
    {"roost_history_rooms", "Rooms with a history.", gauge, number<&LocalHubStats::rooms>},
    {"roost_history_messages", "Messages that are kept for clients that come back.", gauge, number<&LocalHubStats::messages>},
    {"roost_history_bytes", "Bytes of the kept messages as JSON.", gauge, number<&LocalHubStats::bytes>},
    {"roost_history_messages_recorded_total", "Messages that were recorded.", counter, number<&LocalHubStats::recorded>},
};

inline constexpr Metric<LocalBackplaneStats> local_backplane_metrics[] = {
    {"roost_backplane_messages_published_total", "Messages that were published here.", counter, number<&LocalBackplaneStats::published>},
    {"roost_backplane_messages_received_total", "Messages that arrived, those published here included.", counter, number<&LocalBackplaneStats::received>},
    {"roost_backplane_messages_dropped_total", "Messages that a handler missed because too many waited for it.", counter, number<&LocalBackplaneStats::dropped>},
    {"roost_backplane_handler_failures_total", "Calls of a handler that threw.", counter, number<&LocalBackplaneStats::failed>},
    {"roost_backplane_replicas", "Replicas that are alive, this one included.", gauge, number<&LocalBackplaneStats::replicas>},
    {"roost_backplane_asks_total", "Questions and orders to all replicas.", counter, number<&LocalBackplaneStats::asks>},
    {"roost_backplane_answers_missing_total", "Answers to questions and orders that did not come in time.", counter, number<&LocalBackplaneStats::missing_answers>},
    {"roost_presence_rooms", "Rooms with presence that have members here.", gauge, number<&LocalBackplaneStats::presence_rooms>},
    {"roost_presence_users", "Users in the lists of these rooms, counted once for each room.", gauge, number<&LocalBackplaneStats::presence_users>},
    {"roost_presence_changes_total", "Users who came or went, as on_presence was told.", counter, number<&LocalBackplaneStats::presence_changes>},
    {"roost_presence_reads_total", "Lists of users that were read anew.", counter, number<&LocalBackplaneStats::presence_reads>},
};

inline constexpr Metric<RedisStats> redis_metrics[] = {
    {"roost_backplane_messages_published_total", "Messages that were published here.", counter, number<&RedisStats::published>},
    {"roost_backplane_messages_received_total", "Messages that arrived, those published here included.", counter, number<&RedisStats::received>},
    {"roost_backplane_messages_dropped_total", "Messages that a handler missed because too many waited for it.", counter, number<&RedisStats::dropped>},
    {"roost_backplane_handler_failures_total", "Calls of a handler that threw.", counter, number<&RedisStats::failed>},
    {"roost_backplane_replicas", "Replicas that are alive, this one included.", gauge, number<&RedisStats::replicas>},
    {"roost_backplane_asks_total", "Questions and orders to all replicas.", counter, number<&RedisStats::asks>},
    {"roost_backplane_answers_missing_total", "Answers to questions and orders that did not come in time.", counter, number<&RedisStats::missing_answers>},
    {"roost_presence_rooms", "Rooms with presence that have members here.", gauge, number<&RedisStats::presence_rooms>},
    {"roost_presence_users", "Users in the lists of these rooms, counted once for each room.", gauge, number<&RedisStats::presence_users>},
    {"roost_presence_changes_total", "Users who came or went, as on_presence was told.", counter, number<&RedisStats::presence_changes>},
    {"roost_presence_reads_total", "Lists of users that were read anew.", counter, number<&RedisStats::presence_reads>},
    {"roost_redis_connections_total", "Connections to Redis that were made.", counter, number<&RedisStats::connects>},
    {"roost_redis_writes_total", "Bursts of messages that were sent, each in one write.", counter, number<&RedisStats::writes>},
    {"roost_redis_messages_echoed_total", "Messages published here that came back.", counter, number<&RedisStats::echoes>},
    {"roost_redis_messages_skipped_total", "Messages that arrived and could not be read.", counter, number<&RedisStats::skipped>},
    {"roost_redis_messages_lost_total", "Messages of other replicas that were lost.", counter, number<&RedisStats::lost>},
    {"roost_redis_losses_uncertain_total", "How often messages of other replicas may have been lost.", counter, number<&RedisStats::uncertain>},
    {"roost_redis_messages_duplicated_total", "Messages of other replicas that came twice.", counter, number<&RedisStats::duplicates>},
    {"roost_redis_messages_unanswered_total", "Messages sent to Redis that got no answer.", counter, number<&RedisStats::unknown>},
    {"roost_redis_messages_unsent_total", "Messages that were never sent to Redis: too old, or over the limit.", counter, number<&RedisStats::spool_drops>},
    {"roost_redis_messages_waiting", "Messages that wait to be sent to Redis.", gauge, number<&RedisStats::spooled>},
    {"roost_redis_messages_in_flight", "Messages that Redis has not answered yet.", gauge, number<&RedisStats::in_flight>},
};
// clang-format on

/// The metrics of one scrape.
class Samples {
 public:
  void add(const char* name, const char* help, prometheus::MetricType type, double value,
           const prometheus::Labels& labels) {
    prometheus::ClientMetric metric;
    for (const auto& [key, text] : labels) metric.label.push_back({key, text});
    (type == counter ? metric.counter.value : metric.gauge.value) = value;
    family(name, help, type).metric.push_back(std::move(metric));
  }
  template <class Stats, std::size_t n>
  void add(const Metric<Stats> (&table)[n], const Stats& stats, const prometheus::Labels& labels) {
    for (const Metric<Stats>& m : table) add(m.name, m.help, m.type, m.value(stats), labels);
  }
  /// Adds the samples of @p other. Each family must occur only once, even if many managers have it.
  void merge(Samples other) {
    for (prometheus::MetricFamily& from : other.families_) {
      auto& to = family(from.name, from.help, from.type).metric;
      to.insert(to.end(), from.metric.begin(), from.metric.end());
    }
  }
  [[nodiscard]] std::vector<prometheus::MetricFamily> take() && { return std::move(families_); }

 private:
  prometheus::MetricFamily& family(const std::string& name, const std::string& help,
                                   prometheus::MetricType type) {
    const auto found = std::find_if(families_.begin(), families_.end(),
                                    [&](const auto& known) { return known.name == name; });
    if (found != families_.end()) return *found;
    return families_.emplace_back(prometheus::MetricFamily{name, help, type, {}});
  }

  std::vector<prometheus::MetricFamily> families_;
};

/// A source of metrics, which may be read on its executor only.
class Source final : public std::enable_shared_from_this<Source>, private ContextGuard {
 public:
  /// Reads the source; nullopt if it is gone.
  using Read = std::function<std::optional<Samples>()>;

  Source(boost::asio::any_io_executor executor, prometheus::Labels labels, Read read)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        labels_(std::move(labels)),
        read_(std::move(read)),
        executor_(std::move(executor)) {}
  ~Source() override { leave_context(); }

  /// The labels, with `part`, which names the kind of source.
  [[nodiscard]] const prometheus::Labels& labels() const noexcept { return labels_; }

  /// Asks for the metrics, from any thread. On the source's own executor they are read immediately,
  /// since waiting there would block.
  [[nodiscard]] std::future<std::optional<Samples>> ask() {
    const auto promise = std::make_shared<std::promise<std::optional<Samples>>>();
    std::future<std::optional<Samples>> answer = promise->get_future();
    if (const boost::asio::any_io_executor executor = current_executor()) {
      boost::asio::dispatch(executor, [self = shared_from_this(), promise] {
        try {
          promise->set_value(self->read_());
        } catch (...) {
          promise->set_exception(std::current_exception());
        }
      });
    }
    return answer;
  }

 private:
  boost::asio::any_io_executor current_executor() {
    const std::lock_guard lock(mutex_);
    return executor_;
  }
  void on_context_destroyed() noexcept override {
    const std::lock_guard lock(mutex_);
    executor_ = boost::asio::any_io_executor();
  }

  const prometheus::Labels labels_;
  const Read read_;
  // The mutex is there because a scrape runs on a thread of its own.
  std::mutex mutex_;
  boost::asio::any_io_executor executor_;
};

}  // namespace roost::detail
