// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Metrics for Prometheus. Needs the core library of prometheus-cpp; CMake target
/// `roost::prometheus`.

#include <prometheus/collectable.h>

#include <boost/asio/system_executor.hpp>
#include <concepts>

#include "roost/base/error.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/prometheus/detail/sources.hpp"
#include "roost/redis/stats.hpp"
#include "roost/service/service.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost {

namespace detail {

template <class B, class Stats>
concept HasStats = requires(const B& b) {
  { b.stats() } -> std::same_as<Stats>;
};
template <class B>
concept CountsMessages = HasStats<B, LocalBackplaneStats> || HasStats<B, RedisStats>;

}  // namespace detail

/// The options of `Metrics`.
struct MetricsOptions {
  /// How long `Collect` waits for busy threads. 1 ms to 1 min.
  std::chrono::steady_clock::duration timeout = std::chrono::seconds(1);
};

/// Exports the counters of managers, heartbeats and backplanes as a `Collectable` of
/// prometheus-cpp. Register it with an `Exposer`, or use a `TextSerializer` in
/// `ListenOptions::on_http`.
/// @code
/// roost::Metrics metrics;
/// metrics.add(service);                          // manager and heartbeat
/// metrics.add(backplane);
/// prometheus::TextSerializer().Serialize(metrics.Collect());
/// @endcode
///
/// Each counter is read on the executor of its owner. `roost_scrape_success` says for each source
/// that was added whether it could be read: it is 0 if the source is gone, or did not answer in
/// time.
///
/// @par Thread safety  `Collect` may be called from any thread. On the executor of a source, that
///                     source is read immediately; from elsewhere `Collect` waits, at most
///                     `timeout` in total. Call `add` before the first `Collect`.
/// @par Errors         `add` throws `errc::invalid_option` if a source of the same kind has the
///                     same labels.
/// @par Lifetime       May outlive its sources and their `io_context`, except a backplane that was
///                     added by reference. While an `io_context` is destroyed, no `Collect` may run
///                     on another thread: destroy an `Exposer` first.
class Metrics final : public prometheus::Collectable {
 public:
  /// The type of the options.
  using Options = MetricsOptions;
  /// The type of labels: names and values.
  using Labels = prometheus::Labels;

  /// Makes metrics without a source.
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit Metrics(Options options = {}) : options_(options) {
    detail::check_option(options.timeout >= std::chrono::milliseconds(1) &&
                             options.timeout <= std::chrono::minutes(1),
                         "timeout must be 1 ms to 1 min");
  }

  /// Adds the metrics of a manager.
  /// @param labels  added to all of its samples, for example to distinguish the managers of several
  ///                threads
  template <WebSocketLike Ws>
  void add(const ConnectionManager<Ws>& manager, const Labels& labels = {}) {
    add("manager", manager.get_executor(), labels,
        [state = std::weak_ptr(detail::ManagerAccess::state(manager)), labels]() {
          const auto alive = state.lock();
          return alive && !alive->is_stopped() ? of_manager(alive->stats(), labels) : std::nullopt;
        });
  }
  /// Adds the metrics of a heartbeat.
  template <WebSocketLike Ws>
  void add(const HeartbeatMonitor<Ws>& monitor, const Labels& labels = {}) {
    const auto& state = detail::MonitorAccess::state(monitor);
    if (!state->executor()) return;  // the `io_context` is gone
    add("heartbeat", state->executor(), labels, [weak = std::weak_ptr(state), labels]() {
      const auto alive = weak.lock();
      return alive ? of(detail::heartbeat_metrics, alive->stats(), labels) : std::nullopt;
    });
  }
  /// Adds the metrics of a service: of its manager and its heartbeat.
  template <WebSocketLike Ws>
  void add(Service<Ws>& service, const Labels& labels = {}) {
    add(service.manager(), labels);
    if (const HeartbeatMonitor<Ws>* heartbeat = service.heartbeat()) add(*heartbeat, labels);
  }
  /// Adds the metrics of a `LocalBackplane` or a `RedisBackplane`, which must exist whenever
  /// `Collect` is called.
  template <class B>
    requires detail::CountsMessages<B>
  void add(const B& backplane, const Labels& labels = {}) {
    add("backplane", backplane.get_executor(), labels,
        [&backplane, labels]() -> Read { return of_backplane(backplane, labels); });
  }
  /// Adds the metrics of a shared backplane, which may be destroyed before.
  template <class B>
    requires detail::CountsMessages<B>
  void add(const std::shared_ptr<B>& backplane, const Labels& labels = {}) {
    add("backplane", backplane->get_executor(), labels,
        [weak = std::weak_ptr<const B>(backplane), labels]() -> Read {
          const auto alive = weak.lock();
          return alive ? of_backplane(*alive, labels) : std::nullopt;
        });
  }

  /// Adds what the histories of a `LocalHub` keep. The hub is kept, too, and needs no executor.
  template <class Hub>
    requires detail::HasStats<Hub, LocalHubStats>
  void add(const Hub& hub, const Labels& labels = {}) {
    add("hub", boost::asio::system_executor(), labels,
        [hub, labels]() -> Read { return of(detail::local_hub_metrics, hub.stats(), labels); });
  }

  /// Reads all sources. A source that does not answer in time is left out.
  /// @par Suspends  never; but the call blocks, see the class.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    std::vector<std::future<Read>> answers;
    for (const auto& source : sources_) answers.push_back(source->ask());
    detail::Samples all;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      Read read = result(answers[i], deadline);
      all.add("roost_scrape_success", "Whether this source could be read.", detail::gauge,
              read ? 1 : 0, sources_[i]->labels());
      if (read) all.merge(*std::move(read));
    }
    return std::move(all).take();
  }

 private:
  using Read = std::optional<detail::Samples>;

  void add(const std::string& part, const boost::asio::any_io_executor& executor, Labels labels,
           detail::Source::Read read) {
    labels["part"] = part;
    std::string names;
    for (const auto& [name, value] : labels) {
      names.append(" ").append(name).append("=").append(value);
    }
    for (const auto& source : sources_) {  // Prometheus rejects a scrape with a duplicate series
      if (source->labels() != labels) continue;
      throw Error(errc::invalid_option, "the labels" + names + " belong to another source");
    }
    sources_.push_back(
        std::make_shared<detail::Source>(executor, std::move(labels), std::move(read)));
  }

  static Read result(std::future<Read>& answer, std::chrono::steady_clock::time_point deadline) {
    if (answer.wait_until(deadline) != std::future_status::ready) return std::nullopt;
    try {
      return answer.get();
    } catch (const std::exception&) {  // the `io_context` is gone, or memory has run out
      return std::nullopt;
    }
  }

  template <class Stats, std::size_t n>
  static Read of(const detail::Metric<Stats> (&table)[n], const Stats& stats,
                 const Labels& labels) {
    detail::Samples samples;
    samples.add(table, stats, labels);
    return samples;
  }
  static Read of_manager(const Stats& stats, Labels labels) {
    Read samples = of(detail::manager_metrics, stats, labels);
    for (std::size_t i = 0; i < stats.ended.size(); ++i) {
      labels["reason"] = to_string(static_cast<DisconnectReason>(i));
      samples->add("roost_connections_ended_total", "Connections that have ended.", detail::counter,
                   static_cast<double>(stats.ended[i]), labels);
    }
    return samples;
  }
  template <class B>
    requires detail::HasStats<B, LocalBackplaneStats>
  static Read of_backplane(const B& backplane, const Labels& labels) {
    return of(detail::local_backplane_metrics, backplane.stats(), labels);
  }
  // A template, since naming `RedisBackplane` would need hiredis.
  template <class B>
    requires detail::HasStats<B, RedisStats>
  static Read of_backplane(const B& backplane, const Labels& labels) {
    Read samples = of(detail::redis_metrics, backplane.stats(), labels);
    samples->add("roost_redis_subscribed", "Whether the backplane is subscribed.", detail::gauge,
                 backplane.state() == RedisState::subscribed ? 1 : 0, labels);
    return samples;
  }

  const Options options_;
  std::vector<std::shared_ptr<detail::Source>> sources_;
};

}  // namespace roost
