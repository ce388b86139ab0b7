// SPDX-License-Identifier: MIT
#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/query.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "roost/prometheus/detail/tables.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

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
  /// A family must not come twice, however many managers have it.
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

/// Something with metrics, which may be read on its executor only.
class Source final : public std::enable_shared_from_this<Source>, private ContextGuard {
 public:
  /// Nothing: what it read from is gone.
  using Read = std::function<std::optional<Samples>()>;

  Source(boost::asio::any_io_executor executor, prometheus::Labels labels, Read read)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        labels_(std::move(labels)),
        read_(std::move(read)),
        executor_(std::move(executor)) {}
  ~Source() override { leave_context(); }

  /// With `part`, which says what it is.
  [[nodiscard]] const prometheus::Labels& labels() const noexcept { return labels_; }

  /// Asks from any thread. On its own executor the answer is there at once: nobody can wait there.
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
  // Who scrapes has a thread of its own.
  std::mutex mutex_;
  boost::asio::any_io_executor executor_;
};

}  // namespace roost::detail
