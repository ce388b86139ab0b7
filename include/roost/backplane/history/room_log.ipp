// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/backplane/history/room_log.hpp"

namespace roost::detail {

// --- asking ---

template <class P, class R>
void RoomLog<P, R>::subscribed(Sink& sink) {
  is_subscribed_ = true;
  ask(sink);
}

template <class P, class R>
void RoomLog<P, R>::disconnected() noexcept {
  is_subscribed_ = is_in_step_ = has_overflowed_ = false;
  asked_ = Asked::nothing;
  question_ = 0;
  drop_held();
}

template <class P, class R>
void RoomLog<P, R>::ask(Sink& sink) {
  is_in_step_ = has_overflowed_ = false;
  asked_ = Asked::nothing;
  question_ = 0;
  answer_ = {};
  if (!is_subscribed_) return;
  if (rules_.forgets_before) drop_held();
  if (!position_) return send(Asked::read, Question{}, sink);
  std::uint64_t since = position_->number;
  for (Resume& resume : resumes_) {
    resume.was_asked = resume.was_asked || resume.is_asked;
    resume.is_asked = resume.was_asked;
    if (resume.is_asked) since = std::min(since, needs(resume));
  }
  send(Asked::read, since, sink);
}

template <class P, class R>
void RoomLog<P, R>::send(Asked what, std::uint64_t since, Sink& sink) {
  send(what, {.since = since}, sink);
}

template <class P, class R>
void RoomLog<P, R>::send(Asked what, Question question, Sink& sink) {
  asked_ = what;
  question_ = question.id = memory_.next_question();
  sink.ask(question);
}

template <class P, class R>
void RoomLog<P, R>::received(const Epoch& epoch, Entry entry, Sink& sink) {
  if (!is_in_step_) return hold(epoch, std::move(entry));
  if (!take(epoch, entry, sink)) ask(sink);
}

template <class P, class R>
void RoomLog<P, R>::hold(const Epoch& epoch, Entry entry) {
  if (question_ == 0 && rules_.forgets_before) return;  // the answer will be newer
  held_bytes_ += entry.bytes;
  memory_.add(entry.bytes);
  held_.push_back({epoch, std::move(entry)});
  if (held_bytes_ <= max_bytes_ && memory_.shrink()) return;
  drop_held();  // the store has them
  has_overflowed_ = true;
}

template <class P, class R>
void RoomLog<P, R>::drop_held() noexcept {
  memory_.subtract(std::exchange(held_bytes_, 0));
  held_ = {};
}

template <class P, class R>
void RoomLog<P, R>::answered(std::uint64_t question, const Answer& answer, Sink& sink) {
  if (question != question_ && (is_in_step_ || rules_.ignores_stale)) return;
  if (asked_ == Asked::nothing && rules_.ignores_stale) return;
  const bool is_sound = collect(answer);
  const bool has_more = !answer.entries.empty() && answer.entries.back().number < target_;
  if (is_sound && has_more && rules_.asks_for_rest) {
    // Held messages stay: they follow the last part of the answer.
    return send(asked_, answer.entries.back().number, sink);
  }
  is_in_step_ ? take_history(is_sound, sink) : take_answer(is_sound, sink);
}

template <class P, class R>
void RoomLog<P, R>::forked(std::uint64_t question, const Position& top, Sink& sink) {
  if (is_in_step_ || (question != question_ && rules_.ignores_stale)) return;
  lose(top, Lost::epoch, sink);
  finish(sink);
}

/// Puts the parts of an answer together. Where one does not follow the part before it, the log was
/// trimmed meanwhile, and the earlier ones are gone.
/// @returns false if the answer is not a part of any log
template <class P, class R>
bool RoomLog<P, R>::collect(const Answer& answer) {
  std::vector<Entry>& entries = answer_.entries;
  const bool goes_on = !entries.empty() && !answer.entries.empty() &&
                       answer.top.epoch == answer_.top.epoch &&
                       follows(answer.entries.front(), entries.back());
  if (!goes_on) {
    entries.clear();
    target_ = answer.top.number;
  }
  answer_.top = answer.top;
  if (!answer.is_sound()) return false;
  entries.insert(entries.end(), answer.entries.begin(), answer.entries.end());
  // There may be more by now, which nobody has asked for.
  if (!entries.empty()) answer_.top = entries.back().at(answer.top.epoch);
  return true;
}

template <class P, class R>
void RoomLog<P, R>::take_answer(bool is_sound, Sink& sink) {
  if (!position_) {
    position_ = first_position();
  } else if (went_back() && rules_.forks) {
    const Epoch epoch = answer_.top.epoch;
    answer_ = {};
    if (rules_.forgets_before) drop_held();
    return send(Asked::fork, {.fork = epoch}, sink);
  } else if (const auto why = what_is_lost(is_sound)) {
    lose(answer_.top, *why, sink);
  } else {
    extend_cache();
    for (const Entry& entry : answer_.entries) {
      if (entry.number > position_->number) dispatch(entry, sink);
    }
  }
  finish(sink);
}

/// Members without a position get what came since the question was sent, although the answer knows
/// it too.
template <class P, class R>
Position RoomLog<P, R>::first_position() const noexcept {
  const Position& top = answer_.top;
  if (held_.empty() || held_.front().epoch != top.epoch) return top;
  const Entry& first = held_.front().entry;
  if (first.number == 0 || first.number > top.number) return top;
  return {top.epoch, first.number - 1, first.before};
}

/// Whether the log does not contain the position of this replica any more, but has its epoch still.
template <class P, class R>
bool RoomLog<P, R>::went_back() const noexcept {
  const Position& top = answer_.top;
  if (top.epoch != position_->epoch) return false;
  if (top.number <= position_->number) return top != *position_;
  const auto mark = mark_of(position_->number, answer_.all());
  return mark && *mark != position_->mark && rules_.chains_live;
}

template <class P, class R>
std::optional<Lost> RoomLog<P, R>::what_is_lost(bool is_sound) const noexcept {
  const Position& top = answer_.top;
  if (top.epoch != position_->epoch || went_back()) return Lost::epoch;
  const bool is_there = top == *position_ || mark_of(position_->number, answer_.all());
  return is_there && is_sound ? std::nullopt : std::optional(Lost::gone);
}

template <class P, class R>
void RoomLog<P, R>::lose(const Position& top, Lost why, Sink& sink) {
  position_ = top;
  if (rules_.drops_cache) cache_.clear();
  sink.lost(top, why);
}

template <class P, class R>
void RoomLog<P, R>::finish(Sink& sink) {
  is_in_step_ = true;
  asked_ = Asked::nothing;
  question_ = 0;
  std::erase_if(resumes_, [&](const Resume& resume) {
    if (resume.is_asked && !answer_from_cache(resume, sink)) refuse(resume, sink);
    return resume.is_asked;
  });
  answer_ = {};
  cache_.trim();
  if (std::exchange(has_overflowed_, false) && rules_.asks_after_overflow) return ask(sink);

  std::vector<Held> held = std::exchange(held_, {});
  memory_.subtract(std::exchange(held_bytes_, 0));
  for (auto item = held.begin(); item != held.end(); ++item) {
    if (take(item->epoch, item->entry, sink) || !rules_.asks_for_misfits) continue;
    if (!rules_.forgets_before) held_.assign(item, held.end());
    return ask(sink);
  }
  answer_resumes(sink);
}

// --- in step ---

/// @returns false if it cannot be told what to do with it
template <class P, class R>
bool RoomLog<P, R>::take(const Epoch& epoch, Entry& entry, Sink& sink) {
  if (epoch != position_->epoch) return false;
  if (entry.number == 0) return true;  // news, which are known
  const bool is_next = entry.number == position_->number + 1;
  if (is_next && (entry.before == position_->mark || !rules_.chains_live)) {
    dispatch(std::move(entry), sink);
    cache_.trim();
    return true;
  }
  if (entry.number > position_->number) return false;
  const auto known = entry.number == position_->number ? std::optional(position_->mark)
                                                       : mark_of(entry.number, cache_.all());
  return known ? *known == entry.mark : !rules_.proves_duplicates;
}

template <class P, class R>
void RoomLog<P, R>::dispatch(Entry entry, Sink& sink) {
  position_ = entry.at(position_->epoch);
  sink.dispatch(*position_, entry);
  cache_.append(std::move(entry));
}

// --- members that come back ---

template <class P, class R>
void RoomLog<P, R>::resume(Member member, const Position& position, Sink& sink) {
  add({.member = member, .since = position}, sink);
}

template <class P, class R>
void RoomLog<P, R>::join(Member member, std::size_t count, Sink& sink) {
  add({.member = member, .last = count}, sink);
}

template <class P, class R>
void RoomLog<P, R>::leave(Member member) noexcept {
  std::erase_if(resumes_, [&](const Resume& resume) { return resume.member == member; });
}

template <class P, class R>
bool RoomLog<P, R>::give_up(Member member, Sink& sink) {
  if (!position_) return false;
  leave(member);
  sink.joined(member, {.at = *position_, .lost = Lost::unavailable});
  return true;
}

template <class P, class R>
void RoomLog<P, R>::add(const Resume& resume, Sink& sink) {
  if (is_in_step_ && answer_from_cache(resume, sink)) return;
  resumes_.push_back(resume);
  if (is_in_step_ && asked_ == Asked::nothing) answer_resumes(sink);
}

template <class P, class R>
bool RoomLog<P, R>::answer_from_cache(const Resume& resume, Sink& sink) const {
  const std::size_t cached = cache_.all().size();
  if (!resume.since) {
    const bool suffices = cached >= resume.last || cached == position_->number;
    if (suffices) join_last(resume, sink);
    return suffices;
  }
  const Position& since = *resume.since;
  if (since.epoch != position_->epoch || since.number > position_->number) return false;
  const bool is_top = since.number == position_->number;
  const auto mark = is_top ? std::optional(position_->mark) : mark_of(since.number, cache_.all());
  if (!mark || (*mark != since.mark && rules_.chains_resume)) return false;
  const auto replay = is_top ? std::span<const Entry>() : cache_.after(since.number);
  sink.joined(resume.member, {.at = since, .is_recovered = true, .replay = replay});
  return true;
}

template <class P, class R>
void RoomLog<P, R>::join_last(const Resume& resume, Sink& sink) const {
  const std::span<const Entry> cached = cache_.all();
  const auto replay = cached.last(std::min(resume.last, cached.size()));
  const Position at =
      replay.empty() ? *position_
                     : Position{position_->epoch, replay.front().number - 1, replay.front().before};
  sink.joined(resume.member, {.at = at, .replay = replay});
}

/// The member is not told of a position, but of where everything is again.
template <class P, class R>
void RoomLog<P, R>::refuse(const Resume& resume, Sink& sink) const {
  if (!resume.since) return join_last(resume, sink);  // there are not as many
  const Position& since = *resume.since;
  const bool is_older = since.epoch == position_->epoch && since.number < position_->number;
  const bool is_gone = is_older && !mark_of(since.number, cache_.all());
  sink.joined(resume.member, {.at = *position_, .lost = is_gone ? Lost::gone : Lost::epoch});
}

template <class P, class R>
void RoomLog<P, R>::answer_resumes(Sink& sink) {
  std::erase_if(resumes_, [&](const Resume& resume) {
    if (answer_from_cache(resume, sink)) return true;
    if (!rules_.asks_for_members) refuse(resume, sink);
    return !rules_.asks_for_members;
  });
  if (resumes_.empty()) return;
  std::uint64_t since = position_->number;
  for (Resume& resume : resumes_) {
    resume.is_asked = true;
    since = std::min(since, needs(resume));
  }
  answer_ = {};
  send(Asked::history, since, sink);
}

/// After which number it wants to know the entries, and how the log stands.
template <class P, class R>
std::uint64_t RoomLog<P, R>::needs(const Resume& resume) const noexcept {
  const std::uint64_t top = position_->number;
  if (!resume.since) return top - std::min<std::uint64_t>(resume.last, top);
  return resume.since->epoch == position_->epoch ? std::min(resume.since->number, top) : top;
}

template <class P, class R>
void RoomLog<P, R>::take_history(bool is_sound, Sink& sink) {
  asked_ = Asked::nothing;
  question_ = 0;
  const bool is_usable = is_sound && extend_cache();
  bool is_open = false;
  std::erase_if(resumes_, [&](const Resume& resume) {
    if (!resume.is_asked) return false;
    if (answer_from_cache(resume, sink)) return true;
    const bool is_over = (is_usable && is_final(resume)) || !rules_.asks_itself_too;
    if (is_over) refuse(resume, sink);
    is_open = is_open || !is_over;
    return is_over;
  });
  answer_ = {};
  cache_.trim();
  if (is_open) return ask(sink);
  answer_resumes(sink);
}

/// Whether what the cache does not know after this answer is not in the log: it may be in a part
/// that the answer is too old for, or this replica.
template <class P, class R>
bool RoomLog<P, R>::is_final(const Resume& resume) const noexcept {
  if (!resume.since) return true;
  const std::uint64_t common = std::min(answer_.top.number, position_->number);
  return resume.since->epoch == position_->epoch && resume.since->number <= common;
}

/// Where the answer and the cache are of one branch, the cache gets what the answer knows of
/// before.
/// @returns false if they are not, or do not meet
template <class P, class R>
bool RoomLog<P, R>::extend_cache() {
  const Position& top = answer_.top;
  const std::span<const Entry> entries = answer_.all();
  const std::span<const Entry> cached = cache_.all();
  const std::uint64_t common = std::min(top.number, position_->number);
  const auto here =
      common == position_->number ? std::optional(position_->mark) : mark_of(common, cached);
  const auto there = common == top.number ? std::optional(top.mark) : mark_of(common, entries);
  if (top.epoch != position_->epoch || !here || here != there) return false;

  const std::uint64_t end = cached.empty() ? common : cached.front().number - 1;
  if (entries.empty() || entries.front().number > end) return true;
  if (!cached.empty() && mark_of(end, entries) != cached.front().before) return false;
  cache_.prepend(entries.first(static_cast<std::size_t>(end + 1 - entries.front().number)));
  return true;
}

}  // namespace roost::detail
