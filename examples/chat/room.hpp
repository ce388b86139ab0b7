// One room of this replica, and what its members have not been told yet. Decides only: no timer and
// no message is here, see roster.hpp.
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
/// An event of one member, as the page gets it.
inline nlohmann::json event(std::string_view what, const Member& member) {
  nlohmann::json event = identity(member);
  event["event"] = what;
  return event;
}

class Room {
 public:
  static constexpr std::size_t max_named = 100;  // members whose names are told
  static constexpr int burst = 16;  // that many are told one by one, the rest of a pause together

  [[nodiscard]] bool empty() const { return here_ == 0; }
  [[nodiscard]] const Members& named() const { return named_; }
  /// Members whose names are not told.
  [[nodiscard]] std::size_t more() const { return here_ - std::min(here_, named_.size()); }

  /// @return whether it is told at once
  bool join(const Member& member) {
    ++here_;
    const bool is_named = named_.size() < max_named;
    if (is_named) named_.push_back(member);
    if (is_named && may_tell_one()) return true;
    ++came_;
    if (is_named) joined_.push_back(member);
    return false;
  }

  /// @param others  those that stay: one of them gets a name in the place of @p member
  /// @return whether it is told at once
  template <class Others>
  bool leave(const Member& member, Others others) {
    --here_;
    const bool was_named = std::erase(named_, member) != 0;
    if (was_named && more() > 0) name_one_of(others());
    // A name that nobody has been told is not taken away.
    const bool is_news = std::erase(joined_, member) + std::erase(renamed_, member) != 0;
    const bool is_known = was_named && !is_news;
    if (is_known && may_tell_one()) return true;
    ++went_;
    if (is_known) left_.push_back(member);
    return false;
  }

  /// What has gathered, as one message; null if that is nothing.
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
  Members joined_, left_, renamed_;  // the last were here before, without a name
  std::size_t came_ = 0, went_ = 0;
  int told_ = 0;  // since the last pause
};
