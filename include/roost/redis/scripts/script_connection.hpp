// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/replica/features.hpp"
#include "roost/redis/scripts/call_queue.hpp"

namespace roost::detail {

/// A call that tries a script once before it is needed. It must change nothing that anybody uses.
struct RedisTrial {
  std::size_t script = 0;
  std::vector<std::string> arguments = {};  ///< The keys first.
  std::size_t keys = 2;
  /// Returns why the reply shows that the script cannot be used; null: it can. Null: any reply that
  /// is not an error will do.
  const char* (*why_not)(const RedisReply& reply) = nullptr;
};

/// The scripts of a user of the script connection.
struct RedisScriptSet {
  std::string_view name;     ///< In errors: "the scripts of the history".
  std::string_view refused;  ///< The log event for a call that Redis refuses.
  std::span<const std::string_view> texts;
};

/// A part of a `RedisBackplane` that runs scripts, such as the histories. All users share one
/// `RedisScriptConnection`. On the backplane's executor.
class RedisScriptUser {
 public:
  RedisScriptUser() = default;
  RedisScriptUser(const RedisScriptUser&) = delete;
  RedisScriptUser& operator=(const RedisScriptUser&) = delete;
  virtual ~RedisScriptUser() = default;

  /// The scripts, which are the same each time and live as long as the program.
  [[nodiscard]] virtual RedisScriptSet scripts() const = 0;
  /// Calls that try each script, with every command that it has.
  [[nodiscard]] virtual std::vector<RedisTrial> trials() const = 0;

  /// The backplane starts, perhaps while the connection is still up.
  virtual void on_begin() {}
  virtual void on_up() {}
  /// The connection could not be made, or was lost.
  virtual void on_down(const std::string& /*why*/) {}
  /// The connection is up and will end: calls that are made now may still be sent.
  virtual void on_stopping() {}
  /// The connection ends: the backplane stops, or is gone.
  virtual void on_end() {}
  /// Called each `beat_interval` while the connection is up.
  virtual void on_beat() {}
  /// The shortest interval that a user wants is that of all users.
  [[nodiscard]] virtual Clock::duration beat_interval() const { return std::chrono::seconds(5); }

  /// Questions are fetched when they can be sent. A user with questions calls
  /// `RedisScriptConnection::ask`.
  [[nodiscard]] virtual bool has_questions() { return false; }
  /// @pre `has_questions()`
  [[nodiscard]] virtual RedisCall next_question() { return {}; }
};

/// The connection that runs the scripts of all its users, one after the other.
///
/// How a part of a backplane uses it: it derives from `RedisScriptUser`, and adds itself once,
/// before the backplane starts, to the `RedisScripting` that all share:
/// @code
/// connection_ = std::static_pointer_cast<RedisScriptConnection>(scripting);
/// number_ = connection_->add(shared_from_this());  // the connection does not own it
/// connection_->call(number_, {.script = number_of(Script::keep), .arguments = {key, value}});
/// @endcode
/// The users hold the connection, never the other way round.
class RedisScriptConnection final : public RedisScripting {
 public:
  using Unusable = std::function<void(const std::string& why)>;

  /// @param name      the name of the connection in the log
  /// @param unusable  called when its Redis is not a primary any more
  RedisScriptConnection(RedisSharedPtr shared, std::string_view name, Unusable unusable)
      : RedisScripting(std::move(shared), name),
        calls_({shared_->options().max_spool_bytes, shared_->options().max_spool_age}),
        unusable_(std::move(unusable)) {}

  /// Adds a user. @pre the connection has not begun
  /// @returns the number of the user, for its calls
  std::size_t add(const std::shared_ptr<RedisScriptUser>& user) {
    const RedisScriptSet scripts = user->scripts();
    users_.push_back({user, scripts, std::vector<std::string>(scripts.texts.size())});
    beat_interval_ = std::min(beat_interval_, user->beat_interval());
    return users_.size() - 1;
  }

  void begin_anew() override {
    why_down_.clear();
    begin();
  }
  /// Begins to connect, unless that has begun.
  void begin() {
    for_users([](RedisScriptUser& user) { user.on_begin(); });
    connect();
  }
  ChildPtr stop() override {
    if (is_up()) for_users([](RedisScriptUser& user) { user.on_stopping(); });
    return is_up() && calls_.has_messages() ? end_soon() : end();
  }
  [[nodiscard]] bool is_unused() const noexcept override { return calls_.is_unused(); }
  [[nodiscard]] const std::string& why_down() const noexcept override { return why_down_; }
  void fill(RedisStats& stats) const override { calls_.fill(stats); }
  void check() override {
    if (!is_up()) return;
    beat_at_ = std::min(beat_at_, shared_->now());
    wake();
  }

  /// Takes a call over that waits for Redis: it is sent as soon as that can be done.
  void call(std::size_t user, RedisCall call) {
    call.user = user;
    calls_.push(std::move(call), shared_->now());
    wake();
  }
  /// Takes a call over that is dropped if the connection is lost, or is down already.
  void call_if_up(std::size_t user, RedisCall call) {
    call.user = user;
    if (!is_up()) return calls_.finish(call, nullptr, errc::outcome_unknown);
    calls_.push_question(std::move(call));
    wake();
  }
  /// There are questions, see `RedisScriptUser`.
  void ask() { wake(); }
  /// Nobody waits any longer for what has waited for too long. A call that was sent may still run.
  void expire_all() { calls_.expire_all(shared_->now()); }

 private:
  struct User {
    std::weak_ptr<RedisScriptUser> user;
    RedisScriptSet scripts;
    std::vector<std::string> shas;
  };
  static constexpr Clock::duration retry_delay = std::chrono::milliseconds(100);
  // 20,000 questions a second, so that the rooms of a replica that has come back do not keep Redis
  // from everything else; a few of them may come together.
  static constexpr Clock::duration between_questions = std::chrono::microseconds(50);
  static constexpr Clock::duration questions_together = 200 * between_questions;

  // --- as a connection ---

  /// Loads the scripts, and runs each of them once: what a Redis does not let them do is known
  /// before somebody relies on them.
  boost::asio::awaitable<void> prepare(RedisLink::Ptr link) override {
    const auto self = std::static_pointer_cast<RedisScriptConnection>(shared_from_this());
    auto trying = try_scripts(self, link);
    co_await with_deadline(std::move(trying), shared_->executor(), shared_->clock(),
                           shared_->options().command_timeout);
  }
  static boost::asio::awaitable<void> try_scripts(std::shared_ptr<RedisScriptConnection> self,
                                                  RedisLink::Ptr link) {
    for (const User& user : self->users_) append_loads(link->outgoing(), user.scripts);
    co_await RedisLink::write(link);
    for (User& user : self->users_) {
      for (std::string& sha : user.shas) {
        RedisReply reply = co_await RedisLink::read(link);
        require_success(user, reply, false);
        sha = std::move(reply.text);
      }
    }
    for (const User& user : self->users_) {
      const std::vector<RedisTrial> trials = append_trials(link->outgoing(), user);
      if (trials.empty()) continue;
      co_await RedisLink::write(link);
      for (const RedisTrial& trial : trials) {
        const RedisReply reply = co_await RedisLink::read(link);
        require_success(user, reply, self->is_proven_);
        const char* const why = trial.why_not ? trial.why_not(reply) : nullptr;
        if (why) throw RedisTrouble(why);
      }
    }
  }
  static std::vector<RedisTrial> append_trials(std::string& out, const User& user) {
    const auto its_user = user.user.lock();
    if (!its_user) return {};
    std::vector<RedisTrial> trials = its_user->trials();
    for (const RedisTrial& trial : trials) {
      append_call(out, user.shas[trial.script], trial.keys, trial.arguments);
    }
    return trials;
  }
  /// @param is_proven  they have worked before: if Redis cannot write now, they can still read
  static void require_success(const User& user, const RedisReply& reply, bool is_proven) {
    if (!reply.is_error()) return;
    const ScriptRefusal why = refusal_of(reply.text);
    if (is_proven && (why == ScriptRefusal::full || why == ScriptRefusal::busy)) return;
    const std::string text = "the scripts of the " + std::string(user.scripts.name) + ": ";
    if (why == ScriptRefusal::moved) throw RedisUnusable(text + reply.text);
    throw RedisTrouble(text + reply.text);
  }

  void on_up() override {
    beat_at_ = shared_->now() + beat_interval_;
    must_load_ = false;
    is_proven_ = true;
    closing_.clear();
    why_down_.clear();
    changed.notify_all();
    for_users([](RedisScriptUser& user) { user.on_up(); });
  }
  void on_down(const std::string& why, bool was_up) override {
    shared_->stats.unknown += calls_.lose_in_flight();
    const bool is_unusable = std::exchange(is_unusable_, false);
    why_down_ = why;
    for_users([&](RedisScriptUser& user) { user.on_down(why); });
    changed.notify_all();
    if (is_unusable) {
      unusable_(std::exchange(closing_, {}));
    } else if (was_up) {
      // It may come back to another server: then no subscription to this one must go on.
      unusable_("the connection that runs scripts is lost");
    }
  }
  void on_end() override {
    is_unusable_ = false;
    shared_->stats.unknown += calls_.lose_in_flight();
    calls_.give_up_waiting();
    why_down_.clear();
    for_users([](RedisScriptUser& user) { user.on_end(); });
    changed.notify_all();
  }
  void on_unusable_redis(const std::string& why) override { unusable_(why); }

  template <class F>
  void for_users(F f) {
    for (const User& user : users_) {
      if (const auto its_user = user.user.lock()) f(*its_user);
    }
  }

  // --- what goes out ---

  static void append_loads(std::string& out, const RedisScriptSet& scripts) {
    for (const std::string_view text : scripts.texts) {
      append_command(out, {"SCRIPT", "LOAD", text});
    }
  }
  void take_burst(std::string& burst) override {
    const Clock::time_point now = shared_->now();
    calls_.expire(now);
    if (!closing_.empty()) return;
    if (now >= beat_at_) beat(burst, now);
    // Calls that did not run are sent first, when all that followed them are answered.
    if (calls_.is_refused() || now < retry_at_) return;
    if (std::exchange(must_load_, false)) load(burst, now);
    for (std::size_t user = 0; user < users_.size(); ++user) take_questions(burst, user, now);
    const std::size_t left = burst_bytes - std::min(burst_bytes, burst.size());
    for (RedisRun& run : calls_.pop(left)) send(burst, std::move(run), now);
  }
  void on_sent() override { written_at_ = shared_->now(); }
  void send(std::string& burst, RedisRun run, Clock::time_point now) {
    append_run(burst, users_[run.front().user].shas[run.front().script], run);
    calls_.sent(std::move(run), now);
  }
  void load(std::string& burst, Clock::time_point now) {
    for (const User& user : users_) {
      append_loads(burst, user.scripts);
      for (std::size_t i = 0; i < user.shas.size(); ++i) {
        calls_.sent({.kind = RedisCall::Kind::load}, now);
      }
    }
  }
  void take_questions(std::string& burst, std::size_t number, Clock::time_point now) {
    const auto user = users_[number].user.lock();
    while (user && burst.size() < burst_bytes && calls_.has_room_for_question() && ask_at_ <= now &&
           user->has_questions()) {
      ask_at_ = std::max(ask_at_, now - questions_together) + between_questions;
      RedisCall call = user->next_question();
      call.user = number;
      RedisRun run;
      run.push_back(std::move(call));
      send(burst, std::move(run), now);
    }
  }
  // A write, which a Redis that has become a replica refuses.
  void beat(std::string& burst, Clock::time_point now) {
    beat_at_ = now + beat_interval_;
    append_command(burst, {"PEXPIRE", shared_->options().channel + ":meta:", "1000"});
    calls_.sent({.kind = RedisCall::Kind::beat}, now);
    for_users([](RedisScriptUser& user) { user.on_beat(); });
  }

  // --- what comes back ---

  void on_reply(RedisLink& link, RedisReply& reply) override {
    if (!calls_.is_in_flight()) throw RedisTrouble("an answer to nothing: " + reply.text);
    RedisRun run = calls_.take_answered();
    if (reply.is_error()) {
      for (RedisCall& call : run) on_refused(std::move(call), reply.text);
    } else {
      calls_.answer(run, reply);
    }
    if (!calls_.is_in_flight()) on_all_answered(link);
    wake();
  }
  void on_refused(RedisCall call, const std::string& why) {
    switch (refusal_of(why)) {
      case ScriptRefusal::not_loaded: must_load_ = true; break;
      case ScriptRefusal::moved: close_soon(why, true); break;
      case ScriptRefusal::busy: retry_at_ = shared_->now() + retry_delay; break;
      case ScriptRefusal::full:
      case ScriptRefusal::for_good:
        if (call.kind == RedisCall::Kind::load) return close_soon("SCRIPT LOAD: " + why, false);
        shared_->log_limited(Severity::warning, users_[call.user].scripts.refused, {{"why", why}});
        return calls_.finish(call, nullptr, errc::backplane_unavailable);
    }
    calls_.refuse(std::move(call));
  }
  /// When all is answered; until then nothing more is sent.
  void close_soon(const std::string& why, bool is_unusable) {
    closing_ = why;
    is_unusable_ = is_unusable_ || is_unusable;
  }
  void on_all_answered(RedisLink& link) {
    calls_.take_refused_back();
    if (!closing_.empty()) link.close(closing_);
  }

  // --- time ---

  [[nodiscard]] bool has_messages() const noexcept override { return calls_.has_messages(); }
  [[nodiscard]] Clock::time_point next_burst() override {
    Clock::time_point next = beat_at_;
    if (calls_.is_waiting() && retry_at_ > shared_->now()) next = std::min(next, retry_at_);
    if (ask_at_ > shared_->now()) {
      for_users([&](RedisScriptUser& user) {
        if (user.has_questions()) next = std::min(next, ask_at_);
      });
    }
    return next;
  }
  [[nodiscard]] Clock::time_point answer_due() const override {
    if (!calls_.is_in_flight()) return Timer::never();
    return std::max({calls_.sent_first(), written_at_, heard_at()}) +
           shared_->options().command_timeout;
  }

  std::vector<User> users_;
  Clock::duration beat_interval_ = std::chrono::seconds(5);
  RedisCallQueue calls_;
  const Unusable unusable_;
  std::string why_down_;
  bool must_load_ = false;
  bool is_proven_ = false;    // the scripts have worked
  std::string closing_;       // why, once the answers still to come are there
  bool is_unusable_ = false;  // because Redis is not a primary any more
  Clock::time_point retry_at_{};
  Clock::time_point ask_at_{};
  Clock::time_point beat_at_ = Timer::never();
  Clock::time_point written_at_{};
};

/// A factory that makes the script connection.
/// @tparam Factory  derived from `RedisScriptingFactory`
template <class Factory>
class WithScripts : public Factory {
 public:
  /// @param name  the name of the connection in the log
  explicit WithScripts(std::string_view name) noexcept : name_(name) {}
  [[nodiscard]] std::shared_ptr<RedisScripting> make_scripting(
      RedisSharedPtr shared, RedisScriptConnection::Unusable unusable) const final {
    return std::make_shared<RedisScriptConnection>(std::move(shared), name_, std::move(unusable));
  }

 private:
  const std::string_view name_;
};

}  // namespace roost::detail
