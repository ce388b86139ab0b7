// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/history/position_line.hpp"
#include "roost/manager/recovery.hpp"
#include "roost/manager/sending/audience.hpp"
#include "roost/socket/frame.hpp"

// The interface between a manager and the history of its rooms, which a backplane keeps. A manager
// asks `RoomRecords`. Recorded messages, answers and losses come back in one sequence, so that an
// answer, which is a snapshot, comes at its place among the messages.

namespace roost::detail {

/// A message that was recorded in the history of its room, for the connections of one manager.
struct Recorded {
  Recorded(std::string its_room, std::string its_position, Frame its_frame,
           std::vector<std::string> its_exclude, Manner its_manner)
      : room(std::move(its_room)),
        position(std::move(its_position)),
        frame(std::move(its_frame)),
        exclude(std::move(its_exclude)),
        manner(its_manner) {}

  const std::string room;
  const std::string position;  ///< A client's position after this message.
  const Frame frame;
  const std::vector<std::string> exclude;
  const Manner manner;

  /// Forms of the frame, each made when the first recipient needs it; replays use them too.
  mutable FormedFrames formed;
};
using RecordedPtr = std::shared_ptr<const Recorded>;

/// Identifies a question of a manager. 0: it was asked for all members of the room.
using RecoveryTicket = std::uint64_t;

/// Which earlier messages a connection that enters a room asks for.
struct RecoveryRequest {
  RecoveryTicket ticket = 0;
  std::optional<std::string> since = {};  ///< Asks for all messages after this.
  std::size_t last = 0;                   ///< Without `since`: asks for so many latest messages.
};

/// Which messages of a snapshot one connection gets.
struct RecoveryVerdict {
  RecoveryTicket ticket = 0;
  bool is_recovered = false;  ///< It gets all messages after its position.
  std::optional<LossReason> lost = {};
  std::string position = {};  ///< The client's position before the first message. Empty: unknown.
  std::size_t first = 0;      ///< Index of the first message that it gets.
};

/// The answer to the questions about one room: a snapshot of its history after all messages that
/// were delivered before.
struct RecoveryAnswer {
  std::string room;
  std::vector<RecordedPtr> messages = {};
  std::vector<RecoveryVerdict> verdicts = {};
};

/// The history of rooms, as a manager sees it.
class RoomRecords {
 public:
  RoomRecords() = default;
  RoomRecords(const RoomRecords&) = delete;
  RoomRecords& operator=(const RoomRecords&) = delete;
  virtual ~RoomRecords() = default;

  /// Returns whether messages to @p room are recorded.
  /// @par Thread safety  Any thread may call this.
  [[nodiscard]] virtual bool keeps(std::string_view room) const noexcept = 0;
  /// Returns whether it answers. When it does no longer, the last messages may still be on their
  /// way.
  [[nodiscard]] virtual bool is_bound() const noexcept { return true; }
  /// Asks for the history of @p room. The answer comes later, on the manager's executor; none comes
  /// if the manager is no longer bound.
  virtual void recover(const std::string& room, std::vector<RecoveryRequest> requests) const = 0;
};

}  // namespace roost::detail
