// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/history/position.hpp"
#include "roost/manager/recovery.hpp"

namespace roost::detail {

/// A room whose newest messages are kept, in the ring of rooms in the order of last use. Only
/// `HistoryMemory` and `RoomCache`, of which this is a private base, use it.
struct CachedRoom {
  CachedRoom() = default;
  CachedRoom(const CachedRoom&) = delete;
  CachedRoom& operator=(const CachedRoom&) = delete;
  virtual ~CachedRoom() { unlink(); }

  void unlink() noexcept {
    previous->next = next;
    next->previous = previous;
    previous = next = this;
  }
  /// @returns what it counted; never called while nothing is kept
  virtual std::size_t drop_oldest() noexcept { return 0; }

  CachedRoom* previous = this;
  CachedRoom* next = this;
};

/// What the room logs of one replica share: the bytes that they may hold together, and the numbers
/// of their questions. It must outlive them.
class HistoryMemory {
 public:
  explicit HistoryMemory(std::size_t max_bytes) noexcept : max_bytes_(max_bytes) {}

  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  [[nodiscard]] std::uint64_t next_question() noexcept { return ++questions_; }

  /// @p room has been used just now; nothing of those that were not is kept for long.
  void touch(CachedRoom& room) noexcept {
    room.unlink();
    room.previous = rooms_.previous;
    room.next = &rooms_;
    rooms_.previous->next = &room;
    rooms_.previous = &room;
  }
  void add(std::size_t bytes) noexcept { used_ += bytes; }
  void subtract(std::size_t bytes) noexcept { used_ -= bytes; }
  /// Drops messages of the rooms that were not used for the longest time.
  /// @returns false if the rest, which the cache does not hold, is still too much
  bool shrink() noexcept {
    while (used_ > max_bytes_ && rooms_.next != &rooms_) used_ -= rooms_.next->drop_oldest();
    return used_ <= max_bytes_;
  }

 private:
  const std::size_t max_bytes_;
  std::size_t used_ = 0;
  std::uint64_t questions_ = 0;
  CachedRoom rooms_;  // the end of the ring
};

/// The newest messages of a room: a chain without a gap, up to where the room log is.
template <class Payload>
class RoomCache final : private CachedRoom {
 public:
  using Entry = LogEntry<Payload>;

  RoomCache(HistoryMemory& memory, std::size_t max_bytes) noexcept
      : memory_(memory), max_bytes_(max_bytes) {}
  ~RoomCache() override { clear(); }

  [[nodiscard]] std::span<const Entry> all() const noexcept { return entries_.all(); }
  /// @pre  `mark_of(number, all())` is known
  [[nodiscard]] std::span<const Entry> after(std::uint64_t number) const noexcept {
    return entries_.all().subspan(static_cast<std::size_t>(number + 1 - entries_.front().number));
  }

  /// @p entry follows the newest. Nothing is dropped before `trim`.
  void append(Entry entry) {
    const std::size_t bytes = entry.bytes;
    entries_.push_back(std::move(entry));
    count(bytes);
  }
  /// @p older end where the oldest begins. Nothing is dropped before `trim`.
  void prepend(std::span<const Entry> older) {
    std::size_t bytes = 0;
    for (const Entry& entry : older) bytes += entry.bytes;
    entries_.push_front(older);
    count(bytes);
  }
  /// Keeps the limits of the room and of the replica.
  void trim() noexcept {
    while (bytes_ > max_bytes_) memory_.subtract(drop_oldest());
    memory_.shrink();
  }
  void clear() noexcept {
    memory_.subtract(std::exchange(bytes_, 0));
    entries_.clear();
    unlink();
  }

 private:
  void count(std::size_t bytes) noexcept {
    bytes_ += bytes;
    memory_.add(bytes);
    memory_.touch(*this);
  }
  std::size_t drop_oldest() noexcept override {
    const std::size_t bytes = entries_.front().bytes;
    entries_.pop_front();
    bytes_ -= bytes;
    if (entries_.empty()) unlink();
    return bytes;
  }

  HistoryMemory& memory_;
  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  FlatQueue<Entry> entries_;
};

// What a replica knows of the log of a room in which it has members.
//
//   asking ---- the answer fits ----> in step: messages are dispatched
//     ^                                  |
//     '--- a message does not fit, ------'
//          the subscription was lost
//
// The log is kept by a store, and each message is recorded there before it is published. So the
// store is ahead of the subscription, and knows better: a message that was received before a
// question was sent is older than its answer, and forgotten. Messages that come afterwards are held
// until the answer is there. Number and mark tell whether a message follows the one before it, also
// where a failover to a lagging copy has taken messages back and numbers are used again.
//
// A member that comes back with a position is answered from the cache, or the store is asked, while
// live messages go on: the answer makes the cache reach further back. Another replica may be ahead
// of this one. So where the answer and the cache do not meet, the room log asks for itself and for
// the member in one question; what that answer does not contain is gone.

/// Why somebody may have missed something.
using Lost = LossReason;

/// The rules of the room log. A test takes them out one by one; here they cost nothing.
struct RoomLogRules {
  static constexpr bool forgets_before = true;     ///< what came before a question
  static constexpr bool ignores_stale = true;      ///< answers to earlier questions
  static constexpr bool chains_live = true;        ///< a message must name the one before it
  static constexpr bool proves_duplicates = true;  ///< by their marks
  static constexpr bool asks_for_misfits = true;   ///< among what was held
  static constexpr bool asks_after_overflow = true;
  static constexpr bool asks_for_rest = true;     ///< of an answer in parts
  static constexpr bool forks = true;             ///< when the log went back
  static constexpr bool drops_cache = true;       ///< when something is lost
  static constexpr bool chains_resume = true;     ///< a position counts with its mark
  static constexpr bool asks_for_members = true;  ///< before it says no to one
  static constexpr bool asks_itself_too = true;   ///< where the answer is of another branch
};

/// @tparam Payload  of a message; cheap to copy
///
/// Pure: the subscription and the store are the caller's, and what is to be done goes to a `Sink`.
template <class Payload, class Rules = RoomLogRules>
class RoomLog {
 public:
  using Entry = LogEntry<Payload>;
  using Answer = LogAnswer<Payload>;
  using Member = std::uint64_t;

  /// For the store, at once; `answered` or `forked` bring the answer.
  struct Question {
    std::uint64_t id = 0;
    /// Read what comes after this number; not set: only where the log ends.
    std::optional<std::uint64_t> since = {};
    /// Give the log another epoch, if it still has this one.
    std::optional<Epoch> fork = {};
  };

  /// What a member that joins is told.
  struct Joined {
    Position at = {};  ///< From here on it has everything.
    bool is_recovered = false;
    std::optional<Lost> lost = {};
    std::span<const Entry> replay = {};  ///< What follows `at`, up to where live messages begin.
  };

  /// Gets everything in the order in which members must. It must not call the room log.
  class Sink {
   public:
    /// To the members that have joined.
    virtual void dispatch(const Position& at, const Entry& entry) = 0;
    /// To the members that have joined: they have everything again from @p at on.
    virtual void lost(const Position& at, Lost why) = 0;
    /// The member gets what is dispatched from now on.
    virtual void joined(Member member, const Joined& how) = 0;
    virtual void ask(const Question& question) = 0;

   protected:
    ~Sink() = default;
  };

  /// Begins to ask once it is `subscribed`.
  /// @param max_bytes  of messages that are cached, and of those that are held
  RoomLog(HistoryMemory& memory, std::size_t max_bytes, Rules rules = {}) noexcept
      : memory_(memory), max_bytes_(max_bytes), cache_(memory, max_bytes), rules_(rules) {}
  RoomLog(const RoomLog&) = delete;
  RoomLog& operator=(const RoomLog&) = delete;
  ~RoomLog() { drop_held(); }

  [[nodiscard]] bool is_in_step() const noexcept { return is_in_step_; }
  /// Whether the answer to this question is still wanted.
  [[nodiscard]] bool is_asked(std::uint64_t question) const noexcept {
    return question == question_ && asked_ != Asked::nothing;
  }
  /// None before the first answer.
  [[nodiscard]] const std::optional<Position>& position() const noexcept { return position_; }
  /// Those that wait for `Sink::joined`.
  [[nodiscard]] std::size_t waiting() const noexcept { return resumes_.size(); }

  /// The store has acknowledged the subscription to this room.
  void subscribed(Sink& sink);
  /// The connection of the subscription is lost.
  void disconnected() noexcept;
  /// Asks, whatever is under way: the connection to the store was made anew, maybe to another
  /// server; a question was refused, and it is time to try again; a room has been quiet for long.
  void ask(Sink& sink);

  /// A message came through the subscription.
  void received(const Epoch& epoch, Entry entry, Sink& sink);
  /// News came through the subscription: the log has this epoch now.
  void told(const Epoch& epoch, Sink& sink) { received(epoch, Entry{}, sink); }

  void answered(std::uint64_t question, const Answer& answer, Sink& sink);
  void forked(std::uint64_t question, const Position& top, Sink& sink);

  /// Somebody wants what came after @p position, then live messages.
  void resume(Member member, const Position& position, Sink& sink);
  /// Somebody wants the last @p count messages, then live ones.
  void join(Member member, std::size_t count, Sink& sink);
  /// The member does not wait any more.
  void leave(Member member) noexcept;
  /// The member has waited for long enough: it is let in, and told `Lost::unavailable`.
  /// @returns false if that cannot be, for nothing is known of the log yet
  bool give_up(Member member, Sink& sink);

 private:
  enum class Asked : std::uint8_t { nothing, read, fork, history };

  struct Held {
    Epoch epoch = {};
    Entry entry = {};
  };

  struct Resume {
    Member member = 0;
    std::optional<Position> since = {};
    std::size_t last = 0;
    bool is_asked = false;   ///< by the question under way
    bool was_asked = false;  ///< by an earlier one, to no avail
  };

  // asking
  void send(Asked what, std::uint64_t since, Sink& sink);
  void send(Asked what, Question question, Sink& sink);
  void hold(const Epoch& epoch, Entry entry);
  void drop_held() noexcept;
  [[nodiscard]] bool collect(const Answer& answer);
  void take_answer(bool is_sound, Sink& sink);
  [[nodiscard]] Position first_position() const noexcept;
  [[nodiscard]] bool went_back() const noexcept;
  [[nodiscard]] std::optional<Lost> what_is_lost(bool is_sound) const noexcept;
  void lose(const Position& top, Lost why, Sink& sink);
  void finish(Sink& sink);

  // in step
  bool take(const Epoch& epoch, Entry& entry, Sink& sink);
  void dispatch(Entry entry, Sink& sink);

  // members that come back
  void add(const Resume& resume, Sink& sink);
  bool answer_from_cache(const Resume& resume, Sink& sink) const;
  void answer_resumes(Sink& sink);
  void refuse(const Resume& resume, Sink& sink) const;
  void join_last(const Resume& resume, Sink& sink) const;
  [[nodiscard]] std::uint64_t needs(const Resume& resume) const noexcept;
  void take_history(bool is_sound, Sink& sink);
  bool extend_cache();
  [[nodiscard]] bool is_final(const Resume& resume) const noexcept;

  HistoryMemory& memory_;
  const std::size_t max_bytes_;
  std::optional<Position> position_;
  RoomCache<Payload> cache_;

  bool is_subscribed_ = false;
  bool is_in_step_ = false;
  bool has_overflowed_ = false;
  Asked asked_ = Asked::nothing;
  std::uint64_t question_ = 0;
  Answer answer_;             ///< As far as it has come.
  std::uint64_t target_ = 0;  ///< How far it reaches at least.

  std::vector<Held> held_;  ///< What came after the question was sent.
  std::size_t held_bytes_ = 0;
  std::vector<Resume> resumes_;
  [[no_unique_address]] Rules rules_;
};

}  // namespace roost::detail

#include "roost/backplane/history/room_log.ipp"
