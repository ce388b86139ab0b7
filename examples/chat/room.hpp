// One room of this replica, and the changes that its members have not been told yet. `Room` only
// decides who is told what; roster.hpp has the timers and sends the messages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <string_view>
#include <utility>
#include <vector>

using Manager = roost::ConnectionManager<roost::BeastWebSocket>;
using Member = Manager::ConnectionPtr;
using Members = std::vector<Member>;

inline nlohmann::json identity(const Member& member) {
  return {{"id", member->id()}, {"name", member->metadata()["name"]}};
}
inline nlohmann::json identities(const Members& members) {
  nlohmann::json all = nlohmann::json::array();
  for (const Member& member : members) all.push_back(identity(member));
  return all;
}
/// An event about one member, in the JSON that the page reads.
inline nlohmann::json event(std::string_view what, const Member& member) {
  nlohmann::json event = identity(member);
  event["event"] = what;
  return event;
}

class Room {
 public:
  static constexpr std::size_t max_named = 100;  // how many members are told by name
  static constexpr int burst = 16;  // changes told one by one; the rest is told together

  [[nodiscard]] bool empty() const { return here_ == 0; }
  [[nodiscard]] const Members& named() const { return named_; }
  /// How many members are counted only, without their names.
  [[nodiscard]] std::size_t more() const { return here_ - std::min(here_, named_.size()); }

  /// @return whether the members are told now; if not, `take_changes` tells it later
  bool join(const Member& member) {
    ++here_;
    const bool is_named = named_.size() < max_named;
    if (is_named) named_.push_back(member);
    if (is_named && may_tell_one()) return true;
    ++came_;
    if (is_named) joined_.push_back(member);
    return false;
  }

  /// @param others  returns the members that stay; one of them is named in the place of @p member
  /// @return whether the members are told now; if not, `take_changes` tells it later
  template <class Others>
  bool leave(const Member& member, Others others) {
    --here_;
    const bool was_named = std::erase(named_, member) != 0;
    if (was_named && more() > 0) name_one_of(others());
    // If the members have not been told the name yet, they need not be told that it is gone.
    const bool is_news = std::erase(joined_, member) + std::erase(renamed_, member) != 0;
    const bool is_known = was_named && !is_news;
    if (is_known && may_tell_one()) return true;
    ++went_;
    if (is_known) left_.push_back(member);
    return false;
  }

  /// The changes since the last call, as one event; null if there are none.
  nlohmann::json take_changes() {
    told_ = 0;
    const auto came = std::exchange(came_, 0), went = std::exchange(went_, 0);
    const Members joined = std::exchange(joined_, {}), left = std::exchange(left_, {}),
                  renamed = std::exchange(renamed_, {});
    if (came + went + renamed.size() == 0) return nullptr;
    return {{"event", "changes"},
            {"joined", identities(joined)},
            {"left", identities(left)},
            {"named", identities(renamed)},
            {"joined_count", came},
            {"left_count", went},
            {"more", more()}};
  }

 private:
  bool may_tell_one() {
    if (told_ == burst) return false;
    ++told_;
    return true;
  }

  void name_one_of(const Members& others) {
    for (const Member& member : others) {
      if (std::ranges::find(named_, member) != named_.end()) continue;
      named_.push_back(member);
      renamed_.push_back(member);
      return;
    }
  }

  std::size_t here_ = 0;  // members
  Members named_;
  // Not told yet. Those in `renamed_` joined before, but were only counted until now.
  Members joined_, left_, renamed_;
  std::size_t came_ = 0, went_ = 0;
  int told_ = 0;  // one by one, since the last `take_changes`
};
