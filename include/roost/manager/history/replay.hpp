// SPDX-License-Identifier: MIT
#pragma once

#include <list>
#include <unordered_map>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
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
  void withhold(const RecordedPtr& message);
  /// Starts the replay of @p answer with its message number @p first.
  void begin(std::shared_ptr<const RecoveryAnswer> answer, std::size_t first) {
    is_asking_ = false;
    answer_ = std::move(answer);
    next_ = first;
  }
  /// Returns the next message to offer; null if there is none now.
  [[nodiscard]] Replayed take();
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
  [[nodiscard]] Replay* find(std::string_view room) noexcept;
  void add(std::string room, RecoveryTicket ticket);
  void remove(std::string_view room) noexcept;
  void clear() noexcept { replays_.clear(); }

  /// Notes that the manager asks again for all members of @p room. A member that asks for itself is
  /// told by its own answer.
  void restart(const std::string& room);
  /// Ends what `restart` began. @returns whether the member waited for it
  bool end_restart(std::string_view room) noexcept;

  /// Returns a replay whose own answer, to a question up to @p newest, has not come yet; null if
  /// there is none.
  [[nodiscard]] const Replay* next_asking(RecoveryTicket newest) const noexcept;
  /// Returns whether nothing is left to offer, now or later.
  [[nodiscard]] bool empty() const noexcept { return replays_.empty(); }
  [[nodiscard]] std::size_t behind_bytes() const noexcept;

  /// Returns the next message to offer, of any room; null if there is none now. Removes replays
  /// that are complete.
  [[nodiscard]] Replayed take();

  /// Whether the connection is being offered a message of them.
  bool is_feeding = false;

  /// Sets the result for a room, for `Connection::recovery`.
  void note(std::string_view room, const Recovery& recovery);
  [[nodiscard]] const Recovery* recovery(std::string_view room) const noexcept;

 private:
  std::vector<Replay> replays_;
  std::vector<std::pair<std::string, Recovery>> recoveries_;
};

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
  void keep(const RecordedPtr& message, Clock::time_point now, std::size_t max_bytes);
  /// Drops the messages that were not replayed for `max_idle`.
  void drop_unused(Clock::time_point now) noexcept;
  void clear() noexcept;

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

  void drop(List::iterator kept) noexcept;
  [[nodiscard]] static std::size_t bytes_of(const Recorded& message) noexcept;

  List kept_;  // the one that was not used for the longest time is the first
  std::unordered_map<const Recorded*, List::iterator> places_;
  std::size_t bytes_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/history/replay.ipp"
#endif
