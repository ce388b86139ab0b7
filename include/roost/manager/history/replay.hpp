// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/manager/history/records.hpp"
#include "roost/manager/recovery.hpp"

namespace roost::detail {

/// A message that a connection gets later than others.
struct Replayed {
  RecordedPtr message = nullptr;
  bool is_of_answer = false;  ///< Other connections may get the same object in their answers.
};

/// The messages of one room's history that a connection has yet to get, and new messages behind
/// them.
///
///   asking ----- answer -----> replaying ----- all messages were offered -----> removed
///     a new message is            a new message waits
///     dropped: the answer         behind the earlier ones
///     will have it
class Replay {
 public:
  Replay(std::string room, RecoveryTicket ticket) : room_(std::move(room)), ticket_(ticket) {}

  [[nodiscard]] const std::string& room() const noexcept { return room_; }
  [[nodiscard]] RecoveryTicket ticket() const noexcept { return ticket_; }
  [[nodiscard]] bool is_asking() const noexcept { return is_asking_; }

  /// Keeps a new message of the room until the earlier ones were offered.
  void withhold(const RecordedPtr& message) {
    if (is_asking_) return;
    behind_bytes_ += message->frame.size();
    behind_.push_back(message);
  }
  /// Starts the replay of @p answer with its message number @p first.
  void begin(std::shared_ptr<const RecoveryAnswer> answer, std::size_t first) {
    is_asking_ = false;
    answer_ = std::move(answer);
    next_ = first;
  }
  /// Returns the next message to offer; null if there is none now.
  [[nodiscard]] Replayed take() {
    if (answer_ && next_ < answer_->messages.size()) {
      return {.message = answer_->messages[next_++], .is_of_answer = true};
    }
    answer_.reset();
    if (next_behind_ == behind_.size()) return {};
    RecordedPtr message = std::move(behind_[next_behind_++]);
    behind_bytes_ -= message->frame.size();
    // Each one is moved once at most: there may never be a moment when nothing waits.
    if (next_behind_ > behind_.size() / 2) {
      behind_.erase(behind_.begin(), behind_.begin() + static_cast<std::ptrdiff_t>(next_behind_));
      next_behind_ = 0;
    }
    return {.message = std::move(message)};
  }
  /// Returns the bytes of the new messages.
  [[nodiscard]] std::size_t behind_bytes() const noexcept { return behind_bytes_; }

 private:
  std::string room_;
  RecoveryTicket ticket_;
  bool is_asking_ = true;
  std::shared_ptr<const RecoveryAnswer> answer_;
  std::size_t next_ = 0;
  std::vector<RecordedPtr> behind_;
  std::size_t next_behind_ = 0;
  std::size_t behind_bytes_ = 0;
};

/// The replays of a connection, one per room. Few connections have any.
class Replays {
 public:
  /// Returns the replay of @p room; null if there is none.
  [[nodiscard]] Replay* find(std::string_view room) noexcept {
    const auto found = std::find_if(replays_.begin(), replays_.end(),
                                    [&](const Replay& replay) { return replay.room() == room; });
    return found == replays_.end() ? nullptr : &*found;
  }
  void add(std::string room, RecoveryTicket ticket) {
    replays_.emplace_back(std::move(room), ticket);
  }
  void remove(std::string_view room) noexcept {
    std::erase_if(replays_, [&](const Replay& replay) { return replay.room() == room; });
  }
  void clear() noexcept { replays_.clear(); }

  /// Notes that the manager asks again for all members of @p room. A member that asks for itself is
  /// told by its own answer.
  void restart(const std::string& room) {
    if (const Replay* const replay = find(room); replay && replay->is_asking()) return;
    remove(room);
    add(room, 0);
  }
  /// Ends what `restart` began. @returns whether the member waited for it
  bool end_restart(std::string_view room) noexcept {
    const Replay* const replay = find(room);
    if (!replay || replay->ticket() != 0) return false;
    remove(room);
    return true;
  }

  /// Returns a replay whose own answer, to a question up to @p newest, has not come yet; null if
  /// there is none.
  [[nodiscard]] const Replay* next_asking(RecoveryTicket newest) const noexcept {
    const auto found = std::find_if(replays_.begin(), replays_.end(), [&](const Replay& replay) {
      return replay.is_asking() && replay.ticket() != 0 && replay.ticket() <= newest;
    });
    return found == replays_.end() ? nullptr : &*found;
  }
  /// Returns whether nothing is left to offer, now or later.
  [[nodiscard]] bool empty() const noexcept { return replays_.empty(); }
  [[nodiscard]] std::size_t behind_bytes() const noexcept {
    std::size_t bytes = 0;
    for (const Replay& replay : replays_) bytes += replay.behind_bytes();
    return bytes;
  }

  /// Returns the next message to offer, of any room; null if there is none now. Removes replays
  /// that are complete.
  [[nodiscard]] Replayed take() {
    for (std::size_t i = 0; i < replays_.size();) {
      if (replays_[i].is_asking()) {
        ++i;
        continue;
      }
      if (Replayed next = replays_[i].take(); next.message) return next;
      replays_.erase(replays_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return {};
  }

  /// Whether the connection is being offered a message of them.
  bool is_feeding = false;

  /// Sets the result for a room, for `Connection::recovery`.
  void note(std::string_view room, const Recovery& recovery) {
    for (auto& [name, known] : recoveries_) {
      if (name == room) {
        known = recovery;
        return;
      }
    }
    recoveries_.emplace_back(room, recovery);
  }
  [[nodiscard]] const Recovery* recovery(std::string_view room) const noexcept {
    for (const auto& [name, known] : recoveries_) {
      if (name == room) return &known;
    }
    return nullptr;
  }

 private:
  std::vector<Replay> replays_;
  std::vector<std::pair<std::string, Recovery>> recoveries_;
};

}  // namespace roost::detail
