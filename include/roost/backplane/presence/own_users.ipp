// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/backplane/presence/own_users.hpp"

namespace roost::detail {

ROOST_DECL bool OwnUsers::came(const void* source, std::string_view room, std::string_view user,
                               std::string_view info) {
  const auto found = rooms_.try_emplace(std::string(room)).first;
  const auto [its_user, is_new] = found->second.users.try_emplace(std::string(user));
  Own& own = its_user->second;
  if (is_new) {
    own.info = info;
    ++size_;
  }
  own.leaves_at.reset();
  const auto held = std::ranges::find(own.held, source, &Held::source);
  if (held == own.held.end()) {
    own.held.push_back({source, 1});
  } else {
    ++held->connections;
  }
  queue(found->first, its_user->first, own);
  return ++found->second.connections == 1;
}

ROOST_DECL bool OwnUsers::went(const void* source, std::string_view room, std::string_view user,
                               time_point leaves_at) {
  Own* const own = find(room, user);
  if (!own) return false;
  const auto held = std::ranges::find(own->held, source, &Held::source);
  if (held == own->held.end()) return false;
  if (--held->connections == 0) own->held.erase(held);
  if (own->held.empty()) {
    own->leaves_at = leaves_at;
    lingering_.emplace(leaves_at, Key(room, user));
  }
  return --rooms_.find(room)->second.connections == 0;
}

ROOST_DECL std::vector<std::pair<std::string, std::string>> OwnUsers::of(const void* source) const {
  std::vector<Key> all;
  for (const auto& [room, its] : rooms_) {
    for (const auto& [user, own] : its.users) {
      const auto held = std::ranges::find(own.held, source, &Held::source);
      if (held != own.held.end()) all.insert(all.end(), held->connections, Key(room, user));
    }
  }
  return all;
}

ROOST_DECL std::vector<OwnUsers::Step> OwnUsers::take(time_point now) {
  end_lingering(now);
  std::vector<Step> steps;
  while (!queue_.empty()) {
    const Key key = std::move(queue_.front());
    queue_.pop_front();
    Own* const own = find(key.first, key.second);
    if (!own) continue;
    own->is_queued = false;
    if (own->is_under_way || own->has_failed) continue;
    const bool is_wanted = own->is_wanted();
    if (own->known == (is_wanted ? Known::present : Known::absent)) {
      if (!is_wanted) erase(key.first, key.second);
      continue;
    }
    own->is_under_way = true;
    steps.push_back({key.first, key.second, is_wanted ? own->info : std::string(), is_wanted,
                     rooms_.find(key.first)->second.users.size() == 1, generation_});
  }
  return steps;
}

ROOST_DECL void OwnUsers::done(const Step& step) {
  Own* const own = find(step.room, step.user);
  if (!own || !own->is_under_way || step.generation != generation_) return;
  own->is_under_way = false;
  // Not if everything was renewed meanwhile: the step may have been made before that.
  if (!own->has_failed) own->known = step.is_enter ? Known::present : Known::absent;
  own->has_failed = false;
  if (!own->is_wanted() && own->known == Known::absent) return erase(step.room, step.user);
  queue(step.room, step.user, *own);
}

ROOST_DECL void OwnUsers::failed(const Step& step) {
  Own* const own = find(step.room, step.user);
  if (!own || !own->is_under_way || step.generation != generation_) return;
  own->is_under_way = false;
  own->known = Known::unsure;
  own->has_failed = true;
  failed_.emplace_back(step.room, step.user);
}

ROOST_DECL void OwnUsers::retry() {
  for (const auto& [room, user] : std::exchange(failed_, {})) {
    Own* const own = find(room, user);
    if (!own) continue;
    if (!own->is_under_way) own->has_failed = false;
    queue(room, user, *own);
  }
}

ROOST_DECL void OwnUsers::renew() {
  failed_.clear();
  for (auto& [room, its] : rooms_) {
    for (auto& [user, own] : its.users) {
      own.has_failed = own.is_under_way;
      own.known = Known::unsure;
      queue(room, user, own);
    }
  }
}

ROOST_DECL void OwnUsers::begin_anew() {
  ++generation_;
  renew();
  for (auto& [room, its] : rooms_) {
    for (auto& [user, own] : its.users) {
      own.known = Known::absent;
      own.is_under_way = own.has_failed = false;
    }
  }
}

ROOST_DECL void OwnUsers::end_stale(std::string_view room, const std::vector<std::string>& held) {
  for (const std::string& user : held) {
    if (find(room, user)) continue;
    const auto its_room = rooms_.try_emplace(std::string(room)).first;
    Own& own = its_room->second.users[user];
    ++size_;
    own.known = Known::unsure;
    queue(its_room->first, user, own);
  }
}

ROOST_DECL void OwnUsers::restore(std::string_view room, const std::set<std::string_view>& held) {
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return;
  for (auto& [user, own] : found->second.users) {
    if (own.is_under_way || own.known != Known::present || held.contains(user)) continue;
    own.known = Known::unsure;
    queue(found->first, user, own);
  }
}

ROOST_DECL OwnUsers::time_point OwnUsers::next_due() const noexcept {
  if (!queue_.empty()) return time_point::min();
  return lingering_.empty() ? time_point::max() : lingering_.begin()->first;
}

ROOST_DECL OwnUsers::Own* OwnUsers::find(std::string_view room, std::string_view user) {
  const auto its_room = rooms_.find(room);
  if (its_room == rooms_.end()) return nullptr;
  const auto found = its_room->second.users.find(user);
  return found == its_room->second.users.end() ? nullptr : &found->second;
}

ROOST_DECL void OwnUsers::queue(const std::string& room, const std::string& user, Own& own) {
  if (!std::exchange(own.is_queued, true)) queue_.emplace_back(room, user);
}

ROOST_DECL void OwnUsers::end_lingering(time_point now) {
  while (!lingering_.empty() && lingering_.begin()->first <= now) {
    const auto [leaves_at, key] = *lingering_.begin();
    lingering_.erase(lingering_.begin());
    Own* const own = find(key.first, key.second);
    if (!own || own->leaves_at != leaves_at) continue;  // the user was back meanwhile
    own->leaves_at.reset();
    queue(key.first, key.second, *own);
  }
}

ROOST_DECL void OwnUsers::erase(const std::string& room, const std::string& user) {
  const auto found = rooms_.find(room);
  found->second.users.erase(user);
  --size_;
  if (found->second.users.empty()) rooms_.erase(found);
}

}  // namespace roost::detail
