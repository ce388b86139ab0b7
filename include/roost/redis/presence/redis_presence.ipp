// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/presence/redis_presence.hpp"

namespace roost::detail {

ROOST_DECL std::vector<RedisTrial> RedisPresence::trials() const {
  const std::string key = who("") + ":probe";
  const std::string set = in("") + ":probe";
  const std::string channel = shared_->probe_channel();
  const auto number = [](PresenceScript script) { return static_cast<std::size_t>(script); };
  using Script = PresenceScript;
  return {{number(Script::enter), {key, set, "-", "-", "-", "", "------", channel, "1"}, 2},
          {number(Script::read), {key, "1"}, 1},
          {number(Script::held), {key, "-", "0"}, 1},
          {number(Script::rooms), {set, "0"}, 1},
          {number(Script::leave), {key, set, "-", "-", "-", "1", "------", channel, "1"}, 2},
          {number(Script::enter), {key, set, "-", "-", "-", "", "------", channel, "1"}, 2},
          {number(Script::clean), {key, set, "-", "-", "0", "------", channel, "1"}, 2}};
}

ROOST_DECL void RedisPresence::on_door(const std::string& room, bool is_open) {
  const std::string channel = who(room);
  if (!is_open) return channels_.leave(channel);
  channels_.enter(channel);
  if (channels_.is_listening(channel)) rooms().subscribed(room);
}

ROOST_DECL void RedisPresence::perform(const PresenceCall& call) {
  const OwnUsers::Step& step = call.step;
  const auto done = [this, call](const RedisReply* reply) {
    reply ? rooms().done(call) : rooms().failed(call);
  };
  const std::string channel = who(step.room);
  switch (call.kind) {
    case PresenceCall::Kind::enter:
      return run(PresenceScript::enter, 2,
                 {channel, in(name_), name_, step.room, step.user, step.info, token(), channel,
                  std::to_string(call.max_listed)},
                 done);
    case PresenceCall::Kind::leave:
      return run(PresenceScript::leave, 2,
                 {channel, in(name_), name_, step.room, step.user, step.is_last ? "1" : "0",
                  token(), channel, std::to_string(call.max_listed)},
                 done);
    case PresenceCall::Kind::read: break;
  }
  read(step.room, call.max_listed, [this, call](const PresenceAnswer* answer) {
    answer ? rooms().answered(call, *answer, now()) : rooms().failed(call);
  });
}

ROOST_DECL void RedisPresence::read(const std::string& room, std::size_t max_listed,
                                    Answered answered) {
  run(PresenceScript::read, 1, {who(room), std::to_string(max_listed)},
      [this, answered = std::move(answered)](const RedisReply* reply) {
        std::optional<PresenceAnswer> answer;
        if (reply) answer = read_presence_answer(*reply, name_);
        if (reply && !answer) {
          shared_->log_limited(Severity::warning, "redis_presence_refused",
                               {{"why", "the users of a room are damaged"}});
        }
        answered(answer ? &*answer : nullptr);
      });
}

ROOST_DECL void RedisPresence::run(PresenceScript script, std::size_t keys,
                                   std::vector<std::string> arguments, Replied replied) {
  const std::weak_ptr<RedisPresence> weak = self();
  auto done = [weak, replied = std::move(replied)](const RedisReply* reply, errc) {
    const auto presence = weak.lock();
    if (!presence) return;
    replied(reply);
    presence->pump();
  };
  connection_->call_if_up(number_, {.script = static_cast<std::size_t>(script),
                                    .arguments = std::move(arguments),
                                    .done = std::move(done),
                                    .keys = keys});
}

ROOST_DECL void RedisPresence::lose() {
  is_up_ = is_walking_ = false;
  walks_.clear();  // the registry tells again of the dead
  rooms().retry();
  pump();
}

// --- walks ---

ROOST_DECL void RedisPresence::take_turn() {
  if (walks_.empty() || is_walking_ || walk_at_ > now()) return;
  const std::optional<PresenceWalk::Step> step = walks_.front().next();
  if (step) return walk(*step);
  if (walks_.front().has_removed()) registrar_->was_left(walks_.front().replica());
  walks_.pop_front();
}

ROOST_DECL void RedisPresence::walk(const PresenceWalk::Step& step) {
  is_walking_ = true;
  const std::string replica = walks_.front().replica();
  const auto replied = [this, step](const RedisReply* reply) { on_step(step, reply); };
  switch (step.script) {
    case PresenceScript::clean:
      return run(PresenceScript::clean, 2,
                 {who(step.room), in(replica), replica, step.room, step.cursor, token(),
                  who(step.room), max_listed(step.room)},
                 replied);
    case PresenceScript::held:
      return run(PresenceScript::held, 1, {who(step.room), replica, step.cursor}, replied);
    default: return run(PresenceScript::rooms, 1, {in(replica), step.cursor}, replied);
  }
}

ROOST_DECL void RedisPresence::on_step(const PresenceWalk::Step& step, const RedisReply* reply) {
  is_walking_ = false;
  if (walks_.empty()) return;
  if (!reply || reply->elements.size() != 2) return walks_.pop_front();
  PresenceWalk& walk = walks_.front();
  const std::string& cursor = reply->elements[0].text;
  std::vector<std::string> names;
  for (const RedisReply& name : reply->elements[1].elements) {
    if (is_utf8(name.text)) names.push_back(name.text);
  }
  if (step.script == PresenceScript::rooms) return walk.take_rooms(cursor, std::move(names));
  if (step.script == PresenceScript::held) rooms().held(step.room, names);
  if (reply->elements[1].integer > 0) walk.note_removed();
  walk.take_portion(cursor);
  walk_at_ = now() + between_rooms;
}

}  // namespace roost::detail
