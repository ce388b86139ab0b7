// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/presence/presence_rooms.hpp"
#include "roost/base/text/json.hpp"

namespace roost::detail {

ROOST_DECL void check_presence(const PresenceOptions& options) {
  check_option(options.rules.size() <= 64, "rules must be at most 64");
  for (std::size_t i = 0; i < options.rules.size(); ++i) {
    const PresenceRule& rule = options.rules[i];
    const std::string name = "rules[" + std::to_string(i) + "]";
    validate_rule_rooms(rule.rooms, name);
    check_option(rule.max_listed >= 1 && rule.max_listed <= 10'000, name,
                 ".max_listed must be 1 to 10000");
    check_option(rule.linger >= Clock::duration::zero() && rule.linger <= std::chrono::hours(1),
                 name, ".linger must be 0 to 1 hour");
    check_option(rule.tell_interval >= Clock::duration::zero() &&
                     rule.tell_interval <= std::chrono::minutes(1),
                 name, ".tell_interval must be 0 to 1 minute");
  }
}

// --- connections ---

ROOST_DECL void PresenceRooms::enter(const void* source, std::string_view room,
                                     std::string_view user, std::string_view info) {
  const PresenceRule* const rule = find_rule(options_, room);
  if (!rule || !own_.came(source, room, user, info)) return;
  const auto opened = rooms_.try_emplace(std::string(room), Room{.rule = rule}).first;
  doors_.emplace_back(room, true);
  schedule(*opened);
}

ROOST_DECL void PresenceRooms::leave(const void* source, std::string_view room,
                                     std::string_view user, time_point now) {
  const PresenceRule* const rule = find_rule(options_, room);
  if (rule && own_.went(source, room, user, now + rule->linger)) close(room);
}

ROOST_DECL void PresenceRooms::leave_all(const void* source, time_point now) {
  for (const auto& [room, user] : own_.of(source)) leave(source, room, user, now);
}

ROOST_DECL void PresenceRooms::close(std::string_view name) {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  due_.erase({found->second.due, found->first});
  listed_ -= found->second.listed;
  rooms_.erase(found);
  doors_.emplace_back(name, false);
}

// --- the store ---

template <class F>
void PresenceRooms::for_all(F f) {
  for (Entry& entry : rooms_) {
    f(entry.second);
    schedule(entry);
  }
}

ROOST_DECL void PresenceRooms::subscribed(std::string_view room) {
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return;
  found->second.is_subscribed = found->second.must_ask = true;
  schedule(*found);
}

ROOST_DECL void PresenceRooms::disconnected() {
  for_all([](Room& room) {
    room.is_subscribed = false;
    room.must_ask = true;
    room.question = 0;
    room.held.clear();
  });
}

ROOST_DECL void PresenceRooms::renew() {
  own_.renew();
  for_all([](Room& room) {
    room.must_ask = true;
    room.has_failed = false;
    room.question = 0;
  });
}

ROOST_DECL void PresenceRooms::retry() {
  own_.retry();
  for_all([](Room& room) { room.has_failed = false; });
}

ROOST_DECL void PresenceRooms::begin_anew() {
  own_.begin_anew();
  for_all([](Room& room) { room.must_ask = true; });
}

ROOST_DECL void PresenceRooms::event(const PresenceEvent& event) {
  const auto found = rooms_.find(event.room);
  if (found == rooms_.end()) return;
  Room& room = found->second;
  if (!is_asking(room)) {
    if (room.known == Known::count) return;
    if (apply(room, event) != PresenceList::Fit::gap) return schedule(*found);
    room.must_ask = true;
  }
  if (room.held.size() < max_held) {
    room.held.push_back({event, room.question != 0});
  } else {
    room.has_overflowed = true;
  }
  schedule(*found);
}

ROOST_DECL std::vector<PresenceRooms::Entry*> PresenceRooms::all_due(time_point now) {
  std::vector<Entry*> all;
  for (auto next = due_.begin(); next != due_.end() && next->first <= now; ++next) {
    all.push_back(&*rooms_.find(next->second));
  }
  return all;
}

ROOST_DECL std::vector<PresenceCall> PresenceRooms::take_calls(time_point now) {
  std::vector<PresenceCall> calls;
  for (OwnUsers::Step& step : own_.take(now)) {
    const PresenceRule& rule = *find_rule(options_, step.room);
    const auto kind = step.is_enter ? PresenceCall::Kind::enter : PresenceCall::Kind::leave;
    calls.push_back({.kind = kind, .step = std::move(step), .max_listed = rule.max_listed});
  }
  for (Entry* const entry : all_due(now)) {
    Room& room = entry->second;
    if (!may_ask(room) || (!room.must_ask && room.ask_at > now)) continue;
    const std::size_t most = room.rule->max_listed;
    if (room.expected > room.list.at().version) room.must_ask = true;
    room.question = ++last_question_;
    room.is_check = !room.must_ask && room.known == Known::list;
    room.must_ask = room.has_overflowed = false;
    room.ask_at = time_point::max();
    calls.push_back(
        {.step = {.room = entry->first},
         .max_listed = room.known == Known::count ? most / 4 * 3 + most % 4 * 3 / 4 : most,
         .question = room.question});
    schedule(*entry);
  }
  return calls;
}

ROOST_DECL void PresenceRooms::answered(const PresenceCall& call, const PresenceAnswer& answer,
                                        time_point now) {
  const auto found = rooms_.find(call.step.room);
  if (found == rooms_.end() || found->second.question != call.question) return;
  Room& room = found->second;
  room.question = 0;
  if (answer.is_listed && room.is_check && !room.must_ask) {
    take_check(room, answer, now);
    audit(found->first, answer);
  } else if (answer.is_listed) {
    if (checks_ == Checks::now_and_then) room.ask_at = now + check_interval;
    take_list(room, answer);
    audit(found->first, answer);
    release(room);
  } else {
    room.ask_at = now + poll_interval;
    take_count(room, answer.count);
    room.held.clear();
  }
  schedule(*found);
}

ROOST_DECL void PresenceRooms::failed(const PresenceCall& call) {
  if (call.kind != PresenceCall::Kind::read) return own_.failed(call.step);
  const auto found = rooms_.find(call.step.room);
  if (found == rooms_.end() || found->second.question != call.question) return;
  found->second.question = 0;
  found->second.must_ask = found->second.has_failed = true;
  schedule(*found);
}

ROOST_DECL PresenceList::Fit PresenceRooms::apply(Room& room, const PresenceEvent& event) {
  const auto before = room.list.users().find(event.user);
  const bool was_there = before != room.list.users().end();
  const std::string info = was_there ? before->second : std::string();
  const PresenceList::Fit fit = room.list.apply(event);
  if (fit != PresenceList::Fit::applied) return fit;
  room.count = event.count;
  if (was_there) note_went(room.untold, event.user, info);
  if (event.has_come) note_came(room.untold, event.user, event.info);
  if (room.count > room.rule->max_listed) {
    take_count(room, room.count);
    room.must_ask = true;  // from now on it is asked now and then
  }
  return fit;
}

/// Changes that undo each other are not told.
ROOST_DECL void PresenceRooms::note_came(Untold& untold, const std::string& user,
                                         const std::string& info) {
  untold.is_any = true;
  const auto went = untold.went.find(user);
  if (went != untold.went.end() && went->second == info) {
    untold.went.erase(went);
  } else {
    untold.came.insert_or_assign(user, info);
  }
}
ROOST_DECL void PresenceRooms::note_went(Untold& untold, const std::string& user,
                                         const std::string& info) {
  untold.is_any = true;
  if (untold.came.erase(user) == 0) untold.went.emplace(user, info);
}

/// The store may be ahead of the events that have arrived, and events ahead of an answer.
ROOST_DECL void PresenceRooms::take_check(Room& room, const PresenceAnswer& answer,
                                          time_point now) {
  constexpr int most_doubts = 3;
  const PresencePosition& at = room.list.at();
  room.expected = answer.at.version;
  room.ask_at = now + (answer.at == at ? check_interval : poll_interval);
  room.doubts = answer.at.version < at.version ? room.doubts + 1 : 0;
  const bool is_other = answer.at.version == at.version && answer.at.token != at.token;
  // A room without users has no token at the store.
  if (room.doubts >= most_doubts || (is_other && answer.count > 0)) room.must_ask = true;
}

/// Takes the list of the store, and notes how it differs from the list here.
ROOST_DECL void PresenceRooms::take_list(Room& room, const PresenceAnswer& answer) {
  const bool had_list = std::exchange(room.known, Known::list) == Known::list;
  ++reads_;
  room.count = answer.count;
  room.expected = 0;
  room.doubts = 0;
  const Users before = room.list.users();
  room.list.take(answer);
  const Users& after = room.list.users();
  if (!had_list) room.untold = {.is_fresh = true, .is_any = true};
  for (const auto& [user, info] : before) {
    const auto still = after.find(user);
    if (still == after.end() || still->second != info) note_went(room.untold, user, info);
  }
  for (const auto& [user, info] : after) {
    const auto already = before.find(user);
    if (already == before.end() || already->second != info) note_came(room.untold, user, info);
  }
}

ROOST_DECL void PresenceRooms::take_count(Room& room, std::size_t count) {
  const bool had_count = std::exchange(room.known, Known::count) == Known::count;
  const bool is_same = std::exchange(room.count, count) == count;
  if (had_count && is_same) return;
  room.list = {};
  room.untold = {.is_any = true};
}

/// Does what had to wait for the answer.
ROOST_DECL void PresenceRooms::release(Room& room) {
  room.must_ask |= room.has_overflowed;
  std::vector<HeldEvent> held = std::exchange(room.held, {});
  for (auto next = held.begin(); next != held.end(); ++next) {
    const bool is_gap = apply(room, next->event) == PresenceList::Fit::gap;
    if (room.known == Known::count) return;
    if (!is_gap || !next->is_after_question) continue;
    room.must_ask = true;
    room.held.assign(std::make_move_iterator(next), std::make_move_iterator(held.end()));
    for (HeldEvent& event : room.held) event.is_after_question = false;
    return;
  }
}

ROOST_DECL void PresenceRooms::audit(const std::string& name, const PresenceAnswer& answer) {
  std::vector<std::string> held;
  for (const PresenceAnswer::Entry& entry : answer.entries) {
    if (entry.is_held) held.push_back(entry.user);
  }
  own_.end_stale(name, held);
  own_.restore(name, {held.begin(), held.end()});
}

// --- what comes of it ---

ROOST_DECL std::vector<PresenceChange> PresenceRooms::take_changes(time_point now) {
  std::vector<PresenceChange> changes;
  for (Entry* const entry : all_due(now)) {
    Room& room = entry->second;
    if (!room.untold.is_any || room.told_until > now) continue;
    PresenceChange change = change_of(entry->first, room);
    room.untold = {};
    const bool is_none = change.came.empty() && change.went.empty();
    if (is_none && change.is_listed && !change.is_fresh) {
      schedule(*entry);
      continue;
    }
    room.told_until = now + room.rule->tell_interval;
    changes_ += change.came.size() + change.went.size();
    changes.push_back(std::move(change));
    schedule(*entry);
  }
  return changes;
}

ROOST_DECL PresentUser present_user(const std::string& user, const std::string& info) {
  nlohmann::json its_info;
  if (!info.empty()) its_info = parse_json(info);
  if (its_info.is_discarded()) its_info = nullptr;
  return {user, std::move(its_info)};
}

ROOST_DECL PresenceChange PresenceRooms::change_of(const std::string& name, Room& room) {
  PresenceChange change{.room = name,
                        .count = room.count,
                        .is_listed = room.known == Known::list,
                        .is_fresh = room.untold.is_fresh};
  for (const auto& [user, info] : room.untold.came) change.came.push_back(present_user(user, info));
  for (const auto& [user, info] : room.untold.went) change.went.push_back(user);
  return change;
}

ROOST_DECL PresenceRooms::time_point PresenceRooms::next_due() const noexcept {
  const time_point rooms = due_.empty() ? time_point::max() : due_.begin()->first;
  return std::min(rooms, own_.next_due());
}

ROOST_DECL std::optional<Presence> PresenceRooms::present(std::string_view room) const {
  const auto found = rooms_.find(room);
  if (found == rooms_.end() || is_asking(found->second)) return std::nullopt;
  const Room& its = found->second;
  Presence presence{.count = its.count, .is_listed = its.known == Known::list};
  for (const auto& [user, info] : its.list.users()) {
    presence.users.push_back(present_user(user, info));
  }
  return presence;
}

ROOST_DECL std::vector<std::string> PresenceRooms::names() const {
  std::vector<std::string> names;
  for (const auto& [name, room] : rooms_) names.push_back(name);
  return names;
}

ROOST_DECL bool PresenceRooms::may_ask(const Room& room) noexcept {
  return room.is_subscribed && !room.has_failed && room.question == 0;
}

ROOST_DECL void PresenceRooms::schedule(Entry& entry) {
  Room& room = entry.second;
  due_.erase({room.due, entry.first});
  room.due = time_point::max();
  if (may_ask(room)) room.due = room.must_ask ? time_point::min() : room.ask_at;
  if (room.untold.is_any) room.due = std::min(room.due, room.told_until);
  if (room.due != time_point::max()) due_.emplace(room.due, entry.first);
  listed_ -= std::exchange(room.listed, room.list.users().size());
  listed_ += room.listed;
}

}  // namespace roost::detail
