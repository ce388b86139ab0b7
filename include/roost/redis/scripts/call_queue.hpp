// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/stats.hpp"

namespace roost::detail {

/// How several calls of a script are sent as one: the first with all its arguments, then the own
/// arguments of each other one.
struct RedisBatch {
  std::size_t first = 0;  ///< The first argument that is the call's own, counted with the keys.
  std::size_t count = 0;  ///< How many arguments are its own.
  /// Makes the reply to one of the calls out of the reply to all.
  RedisReply (*part)(const RedisReply& all, std::size_t which) = nullptr;
};

/// The number of a script among those of its user.
/// @tparam Script  an enumeration of these scripts, in their order
template <class Script>
[[nodiscard]] constexpr std::size_t number_of(Script script) noexcept {
  return static_cast<std::size_t>(script);
}

/// A script to run.
struct RedisCall {
  /// What became of the call: the reply, or why there is none. `backplane_unavailable` means that
  /// the script did not run and will not, `outcome_unknown` that nobody knows. A question that is
  /// dropped gets `outcome_unknown`. Called once, unless the connection is destroyed before.
  using Done = std::function<void(const RedisReply* reply, errc why)>;

  std::size_t script = 0;                   ///< Which of the user's scripts.
  std::vector<std::string> arguments = {};  ///< The keys first.
  Done done = {};
  std::size_t keys = 2;  ///< How many of the arguments are keys.
  /// Set: calls that wait may be sent as one if they have the same user, script and first key, and
  /// this is the same object. The arguments that are not the call's own must be equal then: those
  /// of the first call are sent. Each call still has an outcome of its own.
  const RedisBatch* batch = nullptr;

  /// Whether the call waits for Redis. A question does not: it is dropped when the connection is
  /// lost, and whoever asks will ask again.
  bool is_patient = false;

  // The connection's.
  enum class Kind : unsigned char { script, load, beat };
  Kind kind = Kind::script;
  std::size_t user = 0;
  Clock::time_point created = {};
  Clock::time_point sent = {};
  std::size_t followers = 0;  ///< How many calls behind it were sent as one with it.
  std::size_t bytes = 0;
};

/// What an error of Redis says about a script.
enum class ScriptRefusal {
  not_loaded,  ///< Redis has forgotten the scripts.
  moved,       ///< The script did not run: this Redis is of no use now.
  busy,        ///< The script did not run, but may soon.
  full,        ///< The script did not run: Redis cannot write.
  for_good,    ///< The script failed, and would again.
};

/// Reads an error. Redis 6 puts the code into a text of its own, and a text may name a user of any
/// name.
[[nodiscard]] inline ScriptRefusal refusal_of(const std::string& error) noexcept {
  const auto says = [&](std::initializer_list<std::string_view> codes) {
    return std::any_of(codes.begin(), codes.end(), [&](std::string_view code) {
      return error.find(code) != std::string::npos;
    });
  };
  if (says({"NOPERM", "WRONGTYPE"})) return ScriptRefusal::for_good;
  if (says({"OOM", "MISCONF"})) return ScriptRefusal::full;
  if (says({"NOSCRIPT"})) return ScriptRefusal::not_loaded;
  if (says({"READONLY", "LOADING", "MASTERDOWN"})) return ScriptRefusal::moved;
  if (says({"CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"})) return ScriptRefusal::busy;
  return ScriptRefusal::for_good;
}

/// Calls that are sent as one run of their script. A call without a batch is alone.
using RedisRun = std::vector<RedisCall>;

/// How many calls are sent as one at most: a reply has an element for each, see `RedisReader`, and
/// Redis does nothing else meanwhile.
inline constexpr std::size_t max_batch = 32;

/// Whether a call may be sent as one with @p front, which has the same first key.
[[nodiscard]] inline bool may_batch(const RedisCall& front, const RedisCall& call) noexcept {
  return front.user == call.user && front.script == call.script && front.batch == call.batch;
}

/// Puts calls together that may be sent as one: calls of one batch with the same first key.
/// These keep their order, and none of them passes another call with this key, or a call without a
/// batch.
[[nodiscard]] inline std::vector<RedisRun> batch_calls(std::vector<RedisCall> calls) {
  std::vector<RedisRun> runs;
  std::unordered_map<std::string, std::size_t> open;  // the last run of a key
  for (RedisCall& call : calls) {
    std::size_t run = runs.size();
    if (!call.batch) {
      open.clear();
    } else {
      const auto [found, is_new] = open.try_emplace(call.arguments.front(), run);
      const bool is_open = is_new || (runs[found->second].size() < max_batch &&
                                      may_batch(runs[found->second].front(), call));
      if (!is_open) found->second = run;
      run = found->second;
    }
    if (run == runs.size()) runs.emplace_back();
    runs[run].push_back(std::move(call));
  }
  return runs;
}

/// Appends the command that runs a script.
/// @param arguments  the keys first
/// @param more       how many arguments the caller appends after these
inline void append_call(std::string& out, std::string_view sha, std::size_t keys,
                        std::span<const std::string> arguments, std::size_t more = 0) {
  append_count(out, '*', 3 + arguments.size() + more);
  append_argument(out, "EVALSHA");
  append_argument(out, sha);
  append_argument(out, std::to_string(keys));
  for (const std::string& argument : arguments) append_argument(out, argument);
}

/// Appends the command that runs the script of all calls of @p run.
inline void append_run(std::string& out, std::string_view sha, const RedisRun& run) {
  const RedisCall& first = run.front();
  const std::size_t own = first.batch ? first.batch->count : 0;
  append_call(out, sha, first.keys, first.arguments, (run.size() - 1) * own);
  for (std::size_t i = 1; i < run.size(); ++i) {
    const std::span<const std::string> all = run[i].arguments;
    for (const std::string& argument : all.subspan(first.batch->first, own)) {
      append_argument(out, argument);
    }
  }
}

/// The calls of scripts: those that wait, those that are sent, and those that Redis did not run. It
/// has no connection and no clock.
///
/// A call that was sent is never sent again, unless Redis says that it did not run the script: then
/// it waits, as while Redis cannot be reached, and is given up when it is too old.
class RedisCallQueue {
 public:
  struct Limits {
    std::size_t bytes;        ///< Of patient calls.
    Clock::duration max_age;  ///< How long a patient call may wait.
  };
  static constexpr std::size_t window = 256;  // calls that are not answered

  explicit RedisCallQueue(Limits limits) noexcept : limits_(limits) {}

  /// Takes a patient call over; or gives it up with `errc::backplane_full`.
  void push(RedisCall call, Clock::time_point now) {
    call.is_patient = true;
    call.created = now;
    call.bytes = sizeof(RedisCall);
    for (const std::string& argument : call.arguments) call.bytes += argument.size();
    expire(now);
    if (bytes_ + call.bytes > limits_.bytes) {
      ++dropped_;
      if (call.done) call.done(nullptr, errc::backplane_full);
      return;
    }
    bytes_ += call.bytes;
    waiting_.push_back(std::move(call));
  }
  /// Takes a question over, which is dropped when the connection is lost.
  void push_question(RedisCall call) {
    call.is_patient = false;
    waiting_.push_back(std::move(call));
  }

  [[nodiscard]] bool has_room() const noexcept { return in_flight_.size() < window; }
  // Patient calls have their share of the window, too.
  [[nodiscard]] bool has_room_for_question() const noexcept {
    return has_room() && questions_in_flight_ < window / 2;
  }
  [[nodiscard]] bool is_waiting() const noexcept { return !waiting_.empty(); }
  [[nodiscard]] bool is_refused() const noexcept { return !refused_.empty(); }
  [[nodiscard]] bool is_in_flight() const noexcept { return !in_flight_.empty(); }
  [[nodiscard]] bool is_unused() const noexcept { return waiting_.empty() && in_flight_.empty(); }
  [[nodiscard]] bool has_messages() const noexcept {
    const auto is_message = [](const RedisCall& call) { return call.is_patient; };
    return !waiting_.empty() || !refused_.empty() ||
           std::any_of(in_flight_.begin(), in_flight_.end(), is_message);
  }
  /// When the oldest call that is not answered was sent. @pre `is_in_flight()`
  [[nodiscard]] Clock::time_point sent_first() const noexcept { return in_flight_.front().sent; }

  /// Takes the calls to send next, as long as there is room for them: those of up to @p bytes, and
  /// the one that exceeds that.
  [[nodiscard]] std::vector<RedisRun> pop(std::size_t bytes) {
    std::vector<RedisCall> calls;
    std::size_t taken = 0;
    while (!waiting_.empty() && taken < bytes && in_flight_.size() + calls.size() < window) {
      taken += waiting_.front().bytes;
      calls.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return batch_calls(std::move(calls));
  }
  void sent(RedisCall call, Clock::time_point now) {
    call.sent = now;
    if (is_question(call)) ++questions_in_flight_;
    in_flight_.push_back(std::move(call));
  }
  void sent(RedisRun run, Clock::time_point now) {
    run.front().followers = run.size() - 1;
    for (RedisCall& call : run) sent(std::move(call), now);
  }
  /// The calls to which the next reply belongs. @pre `is_in_flight()`
  [[nodiscard]] RedisRun take_answered() {
    RedisRun run;
    for (std::size_t left = in_flight_.front().followers + 1; left > 0; --left) {
      run.push_back(std::move(in_flight_.front()));
      in_flight_.pop_front();
      if (is_question(run.back())) --questions_in_flight_;
    }
    run.front().followers = 0;
    return run;
  }
  /// Redis did not run it: it will be sent again.
  void refuse(RedisCall call) {
    if (call.done) {
      refused_.push_back(std::move(call));
    } else {
      finish(call, nullptr, unsent);
    }
  }
  /// Those that did not run get their order back, which is that of their age, and stand before what
  /// came later.
  void take_refused_back() {
    std::stable_sort(refused_.begin(), refused_.end(),
                     [](const RedisCall& a, const RedisCall& b) { return a.created < b.created; });
    waiting_.insert(waiting_.begin(), std::make_move_iterator(refused_.begin()),
                    std::make_move_iterator(refused_.end()));
    refused_.clear();
  }
  /// Tells each of the calls its part of the reply.
  void answer(RedisRun& run, const RedisReply& reply) {
    for (std::size_t i = 0; i < run.size(); ++i) {
      if (!run[i].batch) {
        finish(run[i], &reply, {});
      } else {
        const RedisReply part = run[i].batch->part(reply, i);
        finish(run[i], &part, {});
      }
    }
  }
  void finish(RedisCall& call, const RedisReply* reply, errc why) {
    if (call.is_patient) bytes_ -= std::min(bytes_, call.bytes);
    if (call.done) std::exchange(call.done, nullptr)(reply, why);
  }

  /// The connection is lost. @returns how many patient calls have an unknown outcome
  std::size_t lose_in_flight() {
    std::size_t unknown = 0;
    for (RedisCall& call : std::exchange(in_flight_, {})) {
      if (call.is_patient && call.done) ++unknown;
      finish(call, nullptr, errc::outcome_unknown);
    }
    questions_in_flight_ = 0;
    take_refused_back();
    const auto questions = std::stable_partition(
        waiting_.begin(), waiting_.end(), [](const RedisCall& call) { return call.is_patient; });
    std::vector<RedisCall> dropped(std::make_move_iterator(questions),
                                   std::make_move_iterator(waiting_.end()));
    waiting_.erase(questions, waiting_.end());
    for (RedisCall& call : dropped) finish(call, nullptr, errc::outcome_unknown);
    return unknown;
  }
  void give_up_waiting() {
    for (RedisCall& call : std::exchange(waiting_, {})) finish(call, nullptr, unsent);
  }

  /// Gives up what has waited for too long.
  void expire(Clock::time_point now) {
    const Clock::time_point oldest = now - limits_.max_age;
    // The oldest stand in front, maybe among questions that Redis did not answer yet.
    std::vector<RedisCall> late;
    for (auto call = waiting_.begin(); call != waiting_.end();) {
      if (call->is_patient && call->created > oldest) break;
      if (call->is_patient) late.push_back(std::move(*call));
      call = call->is_patient ? waiting_.erase(call) : std::next(call);
    }
    dropped_ += late.size();
    for (RedisCall& call : late) finish(call, nullptr, unsent);  // they may call this queue
  }
  /// Nobody waits any longer for what has waited for too long. A call that was sent may still run.
  void expire_all(Clock::time_point now) {
    expire(now);
    const Clock::time_point oldest = now - limits_.max_age;
    std::vector<RedisCall::Done> late;
    for (std::deque<RedisCall>* const calls : {&refused_, &in_flight_}) {
      for (RedisCall& call : *calls) {
        if (call.is_patient && call.done && call.created <= oldest) {
          late.push_back(std::exchange(call.done, nullptr));
        }
      }
    }
    for (const RedisCall::Done& done : late) done(nullptr, errc::outcome_unknown);
  }

  /// Adds the patient calls.
  void fill(RedisStats& stats) const {
    const auto messages = [](const std::deque<RedisCall>& calls) {
      return static_cast<std::size_t>(std::count_if(
          calls.begin(), calls.end(), [](const RedisCall& call) { return call.is_patient; }));
    };
    stats.spooled += messages(waiting_) + messages(refused_);
    stats.in_flight += messages(in_flight_);
    stats.spool_drops += dropped_;
  }

 private:
  static constexpr errc unsent = errc::backplane_unavailable;

  [[nodiscard]] static bool is_question(const RedisCall& call) noexcept {
    return call.kind == RedisCall::Kind::script && !call.is_patient;
  }

  const Limits limits_;
  std::deque<RedisCall> waiting_;
  std::deque<RedisCall> in_flight_;
  std::deque<RedisCall> refused_;  // they did not run, and will be sent again
  std::size_t bytes_ = 0;          // of patient calls, also of those in flight
  std::size_t questions_in_flight_ = 0;
  std::uint64_t dropped_ = 0;  // patient calls that were never sent
};

}  // namespace roost::detail
