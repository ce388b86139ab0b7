// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/manager/history/records.hpp"

namespace roost::detail {

/// The messages that connections of a manager were replayed lately, with all forms that were made
/// of them.
///
/// A backplane passes a message that still exists on instead of making it anew, so that clients
/// which return one after another share its forms. A message is known by its room and position:
/// one that the history has dropped is in no answer, and goes here when nobody has used it for
/// `max_idle`. No timer watches for that: the owner calls `drop_unused` when a connection ends.
class KeptAnswers {
 public:
  /// Clients that were cut at the same time have mostly returned by then.
  static constexpr Clock::duration max_idle = std::chrono::minutes(1);

  /// Keeps @p message, which was replayed just now. Drops the messages that were not replayed for
  /// the longest time where all take more than @p max_bytes. A message that takes more than this
  /// alone is not kept.
  void keep(const RecordedPtr& message, Clock::time_point now, std::size_t max_bytes) {
    const auto place = places_.find(message.get());
    const std::size_t bytes = bytes_of(*message);
    if (bytes > max_bytes) {
      if (place != places_.end()) drop(place->second);
      return;
    }
    if (place == places_.end()) {
      places_.emplace(message.get(), kept_.insert(kept_.end(), {.message = message}));
    } else {
      kept_.splice(kept_.end(), kept_, place->second);
    }
    Kept& kept = kept_.back();
    kept.used_at = now;
    bytes_ -= std::exchange(kept.bytes, bytes);
    bytes_ += kept.bytes;
    while (bytes_ > max_bytes) drop(kept_.begin());
    drop_unused(now);
  }
  /// Drops the messages that were not replayed for `max_idle`.
  void drop_unused(Clock::time_point now) noexcept {
    while (!kept_.empty() && kept_.front().used_at < now - max_idle) drop(kept_.begin());
  }
  void clear() noexcept {
    places_.clear();
    kept_.clear();
    bytes_ = 0;
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Kept {
    RecordedPtr message;
    Clock::time_point used_at = {};
    std::size_t bytes = 0;
  };
  using List = std::list<Kept>;

  // About what the heap and the nodes of list and map take, and the headers of the frame.
  static constexpr std::size_t overhead = 400;

  void drop(List::iterator kept) noexcept {
    bytes_ -= kept->bytes;
    places_.erase(kept->message.get());
    kept_.erase(kept);
  }
  [[nodiscard]] static std::size_t bytes_of(const Recorded& message) noexcept {
    std::size_t bytes = sizeof(Recorded) + sizeof(Kept) + overhead + message.frame.size() +
                        message.room.size() + message.position.size();
    for (const std::string& id : message.exclude) bytes += sizeof(std::string) + id.size();
    for (const auto& [form, frame] : message.formed) bytes += frame.size();
    return bytes;
  }

  List kept_;  // the one that was not used for the longest time is the first
  std::unordered_map<const Recorded*, List::iterator> places_;
  std::size_t bytes_ = 0;
};

}  // namespace roost::detail
