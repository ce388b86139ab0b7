// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/post.hpp>

#include "roost/backplane/control/control_desk.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

class LocalLine;

/// The replicas of a `LocalHub` that can be asked. From any thread: each has a thread of its own.
class LocalLines {
 public:
  using LinePtr = std::shared_ptr<LocalLine>;

  void add(const LinePtr& line) {
    const std::lock_guard lock(mutex_);
    std::erase_if(lines_, [](const auto& known) { return known.expired(); });
    lines_.push_back(line);
  }
  [[nodiscard]] std::vector<LinePtr> all() const {
    std::vector<LinePtr> all;
    const std::lock_guard lock(mutex_);
    for (const auto& weak : lines_) {
      if (LinePtr line = weak.lock()) all.push_back(std::move(line));
    }
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<LocalLine>> lines_;
};

/// What a line knows of its `LocalBackplane`.
struct LocalPlace {
  std::string channel;
  std::string label;
  std::function<bool()> is_started;  ///< From any thread.
};

/// Carries the messages between the replicas of a `LocalHub`.
class LocalLine final : public ControlLine {
 public:
  LocalLine(std::shared_ptr<LocalLines> lines, LocalPlace place,
            boost::asio::any_io_executor executor, Clock& clock)
      : lines_(std::move(lines)),
        place_(std::move(place)),
        clock_(clock),
        executor_(std::move(executor)) {}

  /// Before anything else.
  void use(const std::shared_ptr<ControlDesk>& desk) { desk_ = desk; }
  /// The backplane or its `io_context` is gone.
  void close() noexcept {
    const std::lock_guard lock(mutex_);
    executor_ = boost::asio::any_io_executor();
  }

  [[nodiscard]] boost::asio::any_io_executor executor() const override {
    const std::lock_guard lock(mutex_);
    return executor_;
  }
  [[nodiscard]] Clock& clock() const override { return clock_; }
  [[nodiscard]] std::string own_name() const override { return name_; }
  [[nodiscard]] std::string address() const override { return name_; }
  [[nodiscard]] std::vector<ReplicaInfo> replicas() const override {
    std::vector<ReplicaInfo> found;
    for (const auto& line : started()) {
      const auto desk = line->desk_.lock();
      found.push_back({.name = line->name_,
                       .version = version_text(),
                       .label = line->place_.label,
                       .connections = desk ? desk->connections() : 0});
    }
    std::ranges::sort(found, {}, &ReplicaInfo::name);
    return found;
  }
  void list(Listed done) override {
    Names names;
    for (const auto& line : started()) names.push_back(line->name_);
    done(std::move(names));
  }
  void tell_all(std::string text) override {
    for (const auto& line : started()) {
      if (line.get() != this) line->receive(text);
    }
  }
  void tell(const std::string& address, std::string text) override {
    for (const auto& line : lines_->all()) {
      if (line->name_ == address) line->receive(text);
    }
  }

 private:
  [[nodiscard]] std::vector<std::shared_ptr<LocalLine>> started() const {
    std::vector<std::shared_ptr<LocalLine>> lines = lines_->all();
    std::erase_if(lines, [&](const auto& line) {
      return line->place_.channel != place_.channel || !line->place_.is_started();
    });
    return lines;
  }
  void receive(std::string text) {
    const boost::asio::any_io_executor executor = this->executor();
    if (!executor) return;
    boost::asio::post(executor, [desk = desk_, text = std::move(text)] {
      if (const auto its_desk = desk.lock()) its_desk->receive(text);
    });
  }

  const std::shared_ptr<LocalLines> lines_;
  const LocalPlace place_;
  const std::string name_ = random_id();
  Clock& clock_;
  std::weak_ptr<ControlDesk> desk_;
  mutable std::mutex mutex_;
  boost::asio::any_io_executor executor_;
};

}  // namespace roost::detail
