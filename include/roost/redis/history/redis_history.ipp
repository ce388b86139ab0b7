// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/history/redis_history.hpp"

namespace roost::detail {

inline constexpr std::array<const char*, 2> record_fields = {"v", "at"};

// --- rooms and their members ---

inline void RedisHistory::open(const std::string& name) {
  const HistoryRule* const rule = find_rule(options_, name);
  if (!rule) return;
  std::unique_ptr<Room>& room = rooms_[name];
  if (!room) {
    room = std::make_unique<Room>(*this, name, channel_of(name), *rule);
    room->heard_at = room->kept_at = shared_->now();
  }
  if (++room->users > 1 || !hears(*room)) return;
  with(*room, [&] { room->log.subscribed(*room); });
}

inline void RedisHistory::close(const std::string& name) {
  const auto found = rooms_.find(name);
  if (found == rooms_.end() || --found->second->users > 0) return;
  const std::unique_ptr<Room> room = std::move(found->second);
  rooms_.erase(found);
  for (const auto& [id, waiting] : room->waiting) {
    refuse(waiting.member, name, waiting.ticket, LossReason::unavailable);
  }
}

inline void RedisHistory::on_subscribed(const std::string& channel) {
  if (shared_->options().routing == Routing::per_room) {
    const std::size_t prefix = room_channel(shared_->options(), "").size();
    if (channel.size() <= prefix) return;
    const auto found = rooms_.find(std::string_view(channel).substr(prefix));
    if (found == rooms_.end() || found->second->channel != channel) return;
    Room& room = *found->second;
    return with(room, [&] { room.log.subscribed(room); });
  }
  const bool is_last =
      channel == shared_->options().channel || channel == shared_->control_channel();
  if (!is_last || !is_listening_(shared_->options().channel) ||
      !is_listening_(shared_->control_channel())) {
    return;
  }
  for (auto& [name, room] : rooms_) with(*room, [&its = *room] { its.log.subscribed(its); });
}

inline void RedisHistory::recover_here(const void* member, const std::string& room,
                                       const std::vector<RecoveryRequest>& requests) {
  const auto found = rooms_.find(room);
  for (const RecoveryRequest& request : requests) {
    if (found == rooms_.end()) {
      refuse(member, room, request.ticket, LossReason::unavailable);
    } else {
      recover_one(*found->second, member, request);
    }
  }
  if (found != rooms_.end()) with(*found->second, [] {});
}

inline void RedisHistory::recover_one(Room& room, const void* member,
                                      const RecoveryRequest& request) {
  forget_late(room);
  const Log::Member id = ++last_member_;
  Waiting& waiting = room.waiting[id];
  waiting = {.member = member, .ticket = request.ticket, .since = shared_->now()};
  if (!request.since) return room.log.join(id, request.last, room);
  const std::optional<Position> since = parse_position(*request.since);
  if (since) return room.log.resume(id, *since, room);
  waiting.lost = LossReason::malformed;
  room.log.join(id, 0, room);
}

/// Those that have given up waiting, while the store cannot be asked, are as good as gone.
inline void RedisHistory::forget_late(Room& room) {
  if (room.waiting.size() < room.waiting_limit) return;
  constexpr Clock::duration patience = std::chrono::minutes(1);
  std::erase_if(room.waiting, [&](const auto& entry) {
    const bool is_late = entry.second.since < shared_->now() - patience;
    if (is_late) room.log.leave(entry.first);
    return is_late;
  });
  room.waiting_limit = 2 * room.waiting.size() + 1'024;
}

inline void RedisHistory::Room::joined(Log::Member member, const Log::Joined& how) {
  const auto found = waiting.find(member);
  if (found == waiting.end()) return;
  const Waiting who = found->second;
  waiting.erase(found);
  RecoveryVerdict verdict{.ticket = who.ticket,
                          .is_recovered = how.is_recovered,
                          .lost = who.lost ? who.lost : how.lost,
                          .position = to_string(how.at)};
  if (how.replay.size() > replay.size()) {
    replay.clear();
    for (const Entry& entry : how.replay) replay.push_back(entry.payload);
  }
  verdicts.emplace_back(who.member, std::move(verdict));
  replayed.push_back(how.replay.size());
}

inline void RedisHistory::tell_joined(Room& room) {
  if (room.verdicts.empty()) return;
  const auto verdicts = std::exchange(room.verdicts, {});
  const auto replayed = std::exchange(room.replayed, {});
  const std::vector<ParcelPtr> replay = std::exchange(room.replay, {});
  std::unordered_map<const void*, HistoryNews> news;
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    HistoryNews& to_member = news[verdicts[i].first];
    RecoveryVerdict verdict = verdicts[i].second;
    verdict.first = replay.size() - replayed[i];
    to_member.verdicts.push_back(std::move(verdict));
  }
  for (auto& [member, to_member] : news) {
    to_member.kind = HistoryNews::Kind::answer;
    to_member.room = room.name;
    to_member.messages = replay;
    inbound_->collect_news(member, std::move(to_member));
  }
}

// --- messages ---

inline auto RedisHistory::entry_of(const std::string& room, const RecordStamp& stamp,
                                   const Epoch& epoch, std::shared_ptr<Parcel> parcel) -> Entry {
  Entry entry{.number = stamp.at.number,
              .mark = stamp.at.mark,
              .before = stamp.before,
              .bytes = static_cast<std::uint32_t>(parcel->bytes())};
  parcel->record_at(room, to_string(entry.at(epoch)));
  entry.payload = std::move(parcel);
  return entry;
}

inline bool RedisHistory::on_message(std::string& text) {
  const std::optional<RecordStamp> stamp = cut_record_stamp(text);
  if (!stamp) return false;
  auto parcel = std::make_shared<Parcel>(std::move(text));
  const auto [name, is_news] = parcel->recorded_for();
  const auto found = rooms_.find(name);
  parcel->hide(record_fields);
  if (found == rooms_.end()) {  // nobody here is in the room
    if (!is_news && !parcel->skipped()) inbound_->collect_for_handlers(std::move(parcel));
    return true;
  }
  Room& room = *found->second;
  if (room.question) prefer(room);
  if (is_news) {
    room.log.told(stamp->at.epoch, room);
  } else {
    room.log.received(stamp->at.epoch, entry_of(name, *stamp, stamp->at.epoch, std::move(parcel)),
                      room);
  }
  tell_joined(room);
  return true;
}

inline std::shared_ptr<Outcome> RedisHistory::record(OutgoingMessage message) {
  auto outcome = std::make_shared<Outcome>();
  const RedisOptions& options = shared_->options();
  const std::string& room = *message.room;
  const HistoryRule& rule = *find_rule(options_, room);
  const std::string mark = fresh_mark();
  auto done = [outcome, mark](const RedisReply* reply, errc why) {
    Published published;
    if (!reply || reply->elements.size() != 3) {
      published.error = make_error_code(reply ? errc::outcome_unknown : why);
    } else {
      published.at = reply->elements[0].text + '.' + reply->elements[1].text + '.' + mark;
      const long long receivers = reply->elements[2].integer;
      if (receivers >= 0) published.receivers = static_cast<std::size_t>(receivers);
    }
    outcome->known = std::move(published);
    outcome->changed.notify_all();
  };
  connection_->begin();
  connection_->call(
      number_,
      {.script = number_of(HistoryScript::record),
       .arguments = {meta_key(options, room), log_key(options, room), channel_of(room),
                     std::move(message.text), mark, fresh_epoch(),
                     std::to_string(rule.max_messages), std::to_string(rule.max_bytes),
                     to_ms_text(rule.max_age), to_ms_text(kept_for(options_.position_age))},
       .done = std::move(done),
       .batch = &recorded_messages});
  return outcome;
}

inline boost::asio::awaitable<void> RedisHistory::run_forget(std::shared_ptr<RedisHistory> self,
                                                             std::string room) {
  const RedisOptions& options = self->shared_->options();
  const auto outcome = std::make_shared<Outcome>();
  std::string name;
  append_json_string(name, room);
  RedisCall call{
      .script = number_of(HistoryScript::fork),
      .arguments = {meta_key(options, room), log_key(options, room), "", self->fresh_epoch(),
                    self->fresh_mark(), to_ms_text(kept_for(self->options_.position_age)),
                    self->news_channel_of(room), std::move(name)},
      .done = [outcome](const RedisReply* reply, errc why) {
        outcome->known = Published();
        if (!reply) outcome->known->error = make_error_code(why);
        outcome->changed.notify_all();
      }};
  self->connection_->begin();
  self->connection_->call(self->number_, std::move(call));
  co_await self->until_known(outcome);
  if (outcome->known->error) throw boost::system::system_error(outcome->known->error);
}

// --- questions ---

inline void RedisHistory::ask(Room& room, const Log::Question& question) {
  constexpr Clock::duration talk = std::chrono::seconds(10);
  const bool is_waiting = std::exchange(room.question, question).has_value();
  if (shared_->now() - room.heard_at < talk) {
    prefer(room);
  } else if (!is_waiting) {
    patient_.push_back(room.name);
  }
  connection_->ask();
}

inline void RedisHistory::prefer(Room& room) {
  if (!std::exchange(room.is_urgent, true)) urgent_.push_back(room.name);
}

inline void RedisHistory::drop_questions() noexcept {
  urgent_.clear();
  patient_.clear();
  for (auto& [name, room] : rooms_) {
    room->question.reset();
    room->is_urgent = false;
  }
}

inline bool RedisHistory::has_questions() {
  for (std::deque<std::string>* const names : {&urgent_, &patient_}) {
    for (; !names->empty(); names->pop_front()) {
      const auto found = rooms_.find(names->front());
      if (found != rooms_.end() && found->second->question) return true;
    }
  }
  return false;
}

inline RedisCall RedisHistory::next_question() {
  std::deque<std::string>& names = urgent_.empty() ? patient_ : urgent_;
  Room& room = *rooms_.find(names.front())->second;
  names.pop_front();
  room.is_urgent = false;
  room.kept_at = shared_->now();
  const Log::Question question = *std::exchange(room.question, std::nullopt);
  RedisCall call{.script = number_of(question.fork ? HistoryScript::fork : HistoryScript::read),
                 .arguments = {meta_key(shared_->options(), room.name),
                               log_key(shared_->options(), room.name)}};
  append_question(call.arguments, room, question);
  call.done = [self = weak_from_this(), name = room.name, question](const RedisReply* reply,
                                                                    errc why) {
    const auto history = self.lock();
    if (!history) return;
    const auto found = history->rooms_.find(name);
    if (found == history->rooms_.end()) return;
    if (reply) {
      history->on_answer(name, question, *reply);
    } else if (why == errc::backplane_unavailable) {
      history->on_refused(*found->second, question);
    }
  };
  return call;
}

inline void RedisHistory::append_question(std::vector<std::string>& arguments, const Room& room,
                                          const Log::Question& question) {
  const auto append = [&](std::string argument) { arguments.push_back(std::move(argument)); };
  if (question.fork) {
    append(std::string(question.fork->view()));
    append(fresh_epoch());
    append(fresh_mark());
    append(to_ms_text(kept_for(options_.position_age)));
    append(news_channel_of(room.name));
    std::string name;
    append_json_string(name, room.name);
    append(std::move(name));
  } else {
    append(question.since ? std::to_string(*question.since) : std::string());
    append(fresh_epoch());
    append(fresh_mark());
    append(to_ms_text(kept_for(room.rule.max_age)));
    append(to_ms_text(kept_for(options_.position_age)));
    append(std::string(history_read_limit));
  }
}

/// The members are let in, and the question is asked again soon.
inline void RedisHistory::on_refused(Room& room, const Log::Question& question) {
  if (!room.log.is_asked(question.id)) return;
  room.was_refused = true;
  with(room, [&] {
    const auto waiting = room.waiting;
    for (const auto& [id, member] : waiting) {
      if (room.log.give_up(id, room)) continue;
      room.log.leave(id);
      room.waiting.erase(id);
      refuse(member.member, room.name, member.ticket, LossReason::unavailable);
    }
  });
}

/// Where a log ends, by the answer of a script.
[[nodiscard]] inline std::optional<Position> top_of(const RedisReply& reply) {
  if (reply.elements.size() < 3) return std::nullopt;
  return parse_position(reply.elements[0].text + '.' + reply.elements[1].text + '.' +
                        reply.elements[2].text);
}

inline void RedisHistory::on_answer(const std::string& name, const Log::Question& question,
                                    const RedisReply& reply) {
  Room& room = *rooms_.find(name)->second;
  const std::optional<Position> top = top_of(reply);
  if (!top) {
    shared_->log_limited(Severity::warning, "redis_history_refused",
                         {{"why", "the history of a room is damaged: " + name}});
    return on_refused(room, question);
  }
  if (question.fork) return with(room, [&] { room.log.forked(question.id, *top, room); });
  Log::Answer answer{.top = *top};
  if (reply.elements.size() > 3) {
    for (const RedisReply& element : reply.elements[3].elements) {
      std::string text = element.text;
      const auto stamp = cut_record_stamp(text);
      if (!stamp) break;  // this entry and those after it cannot be used
      auto parcel = std::make_shared<Parcel>(std::move(text));
      parcel->hide(record_fields);
      answer.entries.push_back(entry_of(name, *stamp, top->epoch, std::move(parcel)));
    }
  }
  with(room, [&] { room.log.answered(question.id, answer, room); });
}

}  // namespace roost::detail
