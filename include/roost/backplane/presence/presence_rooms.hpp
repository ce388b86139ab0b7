// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/presence.hpp"
#include "roost/backplane/presence/own_users.hpp"
#include "roost/backplane/presence/presence_list.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// Checks the options of presence.
/// @par Errors  `errc::invalid_option`, naming the field.
void check_presence(const PresenceOptions& options);

/// What a replica wants of the store.
struct PresenceCall {
  enum class Kind : unsigned char { enter, leave, read };
  Kind kind = Kind::read;
  OwnUsers::Step step = {};    ///< Of `enter` and `leave`. Of `read`, only the room.
  std::size_t max_listed = 0;  ///< Of all: see `PresenceRule`; `read`: list at most so many.
  std::uint64_t question = 0;  ///< Of `read`: used by `PresenceRooms`.
};

/// What the metrics tell of presence.
struct PresenceCounts {
  std::size_t rooms = 0;      ///< Rooms with members here.
  std::size_t users = 0;      ///< Users in the lists of these rooms, counted once for each room.
  std::uint64_t changes = 0;  ///< Users who came or went, as the hooks were told.
  std::uint64_t reads = 0;    ///< Lists that the store was asked for and that were taken over.
};

[[nodiscard]] PresentUser present_user(const std::string& user, const std::string& info);

/// Presence as one replica sees it: its own users, and the lists of the rooms with members here. It
/// has no clock and no connection: calls go to the store in the order in which they are taken, one
/// answer or failure comes for each, and events come from the store in the meantime.
class PresenceRooms {
 public:
  using time_point = Clock::time_point;

  static constexpr Clock::duration poll_interval = std::chrono::seconds(5);
  /// How often the store is asked whether a list that seems complete still is: the last change of a
  /// room may be lost.
  static constexpr Clock::duration check_interval = std::chrono::minutes(1);
  static constexpr std::size_t max_held = 1024;

  /// Whether events can get lost without `disconnected`: then lists are checked now and then.
  enum class Checks : unsigned char { never, now_and_then };

  /// @pre `check_presence(options)`
  explicit PresenceRooms(PresenceOptions options, Checks checks = Checks::now_and_then)
      : options_(std::move(options)), checks_(checks) {}

  [[nodiscard]] const PresenceOptions& options() const noexcept { return options_; }

  // --- connections of this replica; rooms without a rule are ignored ---

  void enter(const void* source, std::string_view room, std::string_view user,
             std::string_view info);
  void leave(const void* source, std::string_view room, std::string_view user, time_point now);
  void leave_all(const void* source, time_point now);

  /// The rooms that have their first member here since the last call, or no members any more, in
  /// order.
  [[nodiscard]] std::vector<std::pair<std::string, bool>> take_doors() noexcept {
    return std::exchange(doors_, {});
  }

  // --- the store ---

  /// Events of @p room arrive from now on.
  void subscribed(std::string_view room);
  /// Events may be missed from now on, until `subscribed`.
  void disconnected();
  /// The store may have forgotten everything: all is told and asked again.
  void renew();
  /// Calls that have failed are made again.
  void retry();
  /// This replica holds nobody at the store, since it has another name than before.
  void begin_anew();
  void event(const PresenceEvent& event);
  std::vector<PresenceCall> take_calls(time_point now);
  /// `enter` and `leave` are done.
  void done(const PresenceCall& call) { own_.done(call.step); }
  void answered(const PresenceCall& call, const PresenceAnswer& answer, time_point now);
  void failed(const PresenceCall& call);

  /// The store says that this replica holds @p users in @p room, after `renew`.
  void held(std::string_view room, const std::vector<std::string>& users) {
    if (find_rule(options_, room)) own_.end_stale(room, users);
  }

  // --- what comes of it ---

  /// What the hooks are to be told now.
  std::vector<PresenceChange> take_changes(time_point now);
  /// When there is something to take or to call; `time_point::max()` if there is nothing.
  [[nodiscard]] time_point next_due() const noexcept;
  /// The users of a room; nothing if this replica does not know them.
  [[nodiscard]] std::optional<Presence> present(std::string_view room) const;
  /// The names of the rooms with members here.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Rooms with members here.
  [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }
  [[nodiscard]] PresenceCounts counts() const noexcept {
    return {.rooms = rooms(), .users = listed_, .changes = changes_, .reads = reads_};
  }

 private:
  using Users = PresenceList::Users;

  enum class Known : unsigned char { nothing, list, count };
  struct HeldEvent {
    PresenceEvent event;
    bool is_after_question;
  };
  /// What the hooks have not been told yet.
  struct Untold {
    Users came = {};
    Users went = {};  // with the information that was told
    bool is_fresh = false;
    bool is_any = false;
  };
  struct Room {
    const PresenceRule* rule;
    PresenceList list = {};
    std::size_t count = 0;
    Known known = Known::nothing;
    bool is_subscribed = false;
    bool must_ask = true;
    bool has_failed = false;
    std::uint64_t question = 0;  // under way; 0: none
    bool is_check = false;       // the question: meanwhile the list goes on
    // Events up to this version are on their way, or lost.
    std::uint64_t expected = 0;
    int doubts = 0;  // checks in a row that saw a state before that of the list
    std::vector<HeldEvent> held = {};
    bool has_overflowed = false;
    Untold untold = {};
    time_point told_until = time_point::min();
    time_point ask_at = time_point::max();
    time_point due = time_point::max();  // as in `due_`
    std::size_t listed = 0;              // as in `listed_`
  };
  using Entry = std::pair<const std::string, Room>;

  [[nodiscard]] bool is_asking(const Room& room) const noexcept {
    return room.must_ask || (room.question != 0 && !room.is_check);
  }
  void close(std::string_view name);
  [[nodiscard]] static bool may_ask(const Room& room) noexcept;
  static PresenceList::Fit apply(Room& room, const PresenceEvent& event);
  static void note_came(Untold& untold, const std::string& user, const std::string& info);
  static void note_went(Untold& untold, const std::string& user, const std::string& info);
  void take_check(Room& room, const PresenceAnswer& answer, time_point now);
  void take_list(Room& room, const PresenceAnswer& answer);
  static void take_count(Room& room, std::size_t count);
  static void release(Room& room);
  template <class F>
  void for_all(F f);
  [[nodiscard]] std::vector<Entry*> all_due(time_point now);
  void audit(const std::string& name, const PresenceAnswer& answer);
  [[nodiscard]] static PresenceChange change_of(const std::string& name, Room& room);
  void schedule(Entry& entry);

  const PresenceOptions options_;
  const Checks checks_;
  OwnUsers own_;
  std::unordered_map<std::string, Room, StringHash, std::equal_to<>> rooms_;
  std::set<std::pair<time_point, std::string>> due_;
  std::vector<std::pair<std::string, bool>> doors_;
  std::uint64_t last_question_ = 0;
  std::size_t listed_ = 0;  // users in all lists
  std::uint64_t changes_ = 0;
  std::uint64_t reads_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/presence/presence_rooms.ipp"
#endif
