// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>

#include "roost/redis/detail/shared.hpp"
#include "roost/redis/history/scripts.hpp"
#include "roost/redis/scripts/script_connection.hpp"

namespace roost::detail {

/// The histories as a user of the script connection.
class RedisStore final : public RedisScriptUser {
 public:
  /// A call of a history's script, whose first two arguments are the keys.
  struct Call {
    RedisScript script = RedisScript::read;
    std::vector<std::string> arguments = {};
    RedisCall::Done done = {};
  };

  /// What the histories must know of the connection, and what it must know of them.
  struct Events {
    std::function<void()> up;
    std::function<void()> beat;                        ///< Now and then, while it is up.
    std::function<void(const std::string& why)> down;  ///< It could not be made, or was lost.
    std::function<bool()> has_questions;
    std::function<Call()> next_question;  ///< Called only while there are questions.
  };

  RedisStore(RedisSharedPtr shared, std::shared_ptr<RedisScriptConnection> scripts, Events events)
      : shared_(std::move(shared)), connection_(std::move(scripts)), events_(std::move(events)) {}
  /// The number that the connection has given the histories, before anything else.
  void use(std::size_t number) noexcept { number_ = number; }

  void begin() { connection_->begin(); }
  /// Takes a message over, which waits for Redis.
  void call(Call call) { connection_->call(number_, to_script_call(std::move(call))); }
  /// There are questions, see `Events`. A question does not wait: whoever asks will ask again.
  void ask() { connection_->ask(); }
  void expire_all() { connection_->expire_all(); }

  // --- as a user ---

  [[nodiscard]] RedisScriptSet scripts() const override {
    return {"history", "redis_history_refused", redis_script_texts};
  }
  /// On the keys of the room without a name. The second message drops the first one.
  [[nodiscard]] std::vector<RedisTrial> trials() const override {
    const std::string meta = meta_key(shared_->options(), "");
    const std::string log = log_key(shared_->options(), "");
    const std::string channel = shared_->probe_channel();
    const RedisTrial record{
        0,
        {meta, log, channel, "{\"probe\":true}", "------", "--------", "1", "4096", "1000", "1000"},
        2,
        why_no_record};
    return {record,
            record,
            {1, {meta, log, "0", "--------", "------", "1000", "1000", "1"}},
            {2, {meta, log, "", "--------", "------", "1000", channel, "\"\""}}};
  }
  void on_up() override { events_.up(); }
  void on_down(const std::string& why) override { events_.down(why); }
  void on_beat() override { events_.beat(); }
  [[nodiscard]] bool has_questions() override { return events_.has_questions(); }
  [[nodiscard]] RedisCall next_question() override {
    return to_script_call(events_.next_question());
  }

 private:
  static const char* why_no_record(const RedisReply& reply) {
    const bool is_published = reply.elements.size() != 4 || !reply.elements[3].is_integer() ||
                              reply.elements[3].integer >= 0;
    return is_published ? nullptr : "the scripts of the history may not PUBLISH";
  }
  static RedisCall to_script_call(Call call) {
    return {.script = static_cast<std::size_t>(call.script),
            .arguments = std::move(call.arguments),
            .done = std::move(call.done),
            .joint = call.script == RedisScript::record ? &several_messages : nullptr};
  }
  /// The reply to one of several messages: its epoch, number and receivers. That to all has the
  /// number of the first one and the receivers of each.
  static RedisReply reply_of(const RedisReply& all, std::size_t which) {
    RedisReply reply;
    if (all.elements.size() < which + 4) return reply;
    std::string number = all.elements[1].text;
    if (which > 0) number = std::to_string(std::strtoull(number.c_str(), nullptr, 10) + which);
    reply.elements = {all.elements[0], {.text = std::move(number)}, all.elements[3 + which]};
    return reply;
  }
  static constexpr RedisJoint several_messages = {3, 2, reply_of};  // the message and its mark

  const RedisSharedPtr shared_;
  const std::shared_ptr<RedisScriptConnection> connection_;
  const Events events_;
  std::size_t number_ = 0;
};

}  // namespace roost::detail
