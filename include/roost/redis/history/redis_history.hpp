// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/history/room_log.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/history/history_scripts.hpp"
#include "roost/redis/replica/features.hpp"
#include "roost/redis/subscribing/subscriber.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

/// The histories of a `RedisBackplane`: for each room with members here the log of a replica, what
/// it asks the store, and what its members get of the answers.
class RedisHistory final : public RedisHistorian,
                           public RedisScriptUser,
                           public std::enable_shared_from_this<RedisHistory> {
  using Log = RoomLog<ParcelPtr>;
  using Entry = Log::Entry;

 public:
  /// @param is_listening  whether Redis has acknowledged the subscription of a channel
  RedisHistory(HistoryOptions options, RedisSharedPtr shared,
               std::shared_ptr<HandlerQueues> inbound,
               std::function<bool(const std::string& channel)> is_listening)
      : rules_(std::make_shared<HistoryOptions>(std::move(options))),
        options_(*rules_),
        shared_(std::move(shared)),
        inbound_(std::move(inbound)),
        is_listening_(std::move(is_listening)),
        memory_(options_.max_cached_bytes) {
    std::random_device system;
    std::seed_seq seed{system(), system(), system(), system()};
    random_.seed(seed);
  }

  /// Before anything else.
  void use(std::shared_ptr<RedisScriptConnection> connection) {
    connection_ = std::move(connection);
    number_ = connection_->add(shared_from_this());
  }

  // --- from any thread ---

  [[nodiscard]] std::shared_ptr<const HistoryOptions> options() const noexcept override {
    return rules_;
  }
  void enter(const std::string& room) override {
    there([room](RedisHistory& self) { self.open(room); });
  }
  void leave(const std::string& room) noexcept override {
    try {
      there([room](RedisHistory& self) { self.close(room); });
    } catch (...) {  // the log stays, which does no harm
    }
  }
  void recover(const void* member, const std::string& room,
               std::vector<RecoveryRequest> requests) override {
    there([member, room, requests = std::move(requests)](RedisHistory& self) {
      self.recover_here(member, room, requests);
    });
  }
  boost::asio::awaitable<void> forget(std::string room) override {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) throw Error(errc::backplane_unavailable);
    return on_executor(executor, run_forget(shared_from_this(), std::move(room)));
  }
  void check_size(const OutgoingMessage& message) const override {
    check_recorded_size(message.text, find_rule(options_, *message.room)->max_bytes);
  }

  // --- on the executor ---

  void on_subscribed(const std::string& channel) override;
  void on_disconnected() override {
    for (auto& [name, room] : rooms_) room->log.disconnected();
    drop_questions();
  }
  bool on_message(std::string& text) override;

  std::shared_ptr<Outcome> record(OutgoingMessage message) override;
  /// Waits for an outcome, which is known in time.
  boost::asio::awaitable<void> until_known(std::shared_ptr<Outcome> outcome) override {
    return run_until_known(shared_from_this(), std::move(outcome));
  }

  // --- as a user of the script connection ---

  [[nodiscard]] RedisScriptSet scripts() const override {
    return {"history", "redis_history_refused", history_script_texts};
  }
  [[nodiscard]] std::vector<RedisTrial> trials() const override { return history_trials(*shared_); }
  void on_up() override {
    for (auto& [name, room] : rooms_) with(*room, [&its = *room] { its.log.ask(its); });
  }
  void on_down(const std::string&) override { drop_questions(); }
  /// A room in which nothing happens has its position kept alive; and what was refused may be
  /// answered by now.
  void on_beat() override {
    const Clock::time_point now = shared_->now();
    for (auto& [name, room] : rooms_) {
      const bool is_quiet = now - room->kept_at >= stays(*room) / 2;
      if (!is_quiet && !std::exchange(room->was_refused, false)) continue;
      with(*room, [&its = *room] { its.log.ask(its); });
    }
  }
  [[nodiscard]] bool has_questions() override;
  [[nodiscard]] RedisCall next_question() override;

 private:
  /// A connection that waits for what it missed.
  struct Waiting {
    const void* member = nullptr;
    RecoveryTicket ticket = 0;
    std::optional<LossReason> lost = {};  ///< Why, whatever the log says.
    Clock::time_point since = {};
  };

  /// A room with members here.
  struct Room final : Log::Sink {
    Room(RedisHistory& its_owner, std::string its_name, std::string its_channel,
         const HistoryRule& its_rule)
        : owner(its_owner),
          name(std::move(its_name)),
          channel(std::move(its_channel)),
          rule(its_rule),
          log(owner.memory_, rule.max_bytes) {}

    void dispatch(const Position&, const Entry& entry) override {
      owner.tell_joined(*this);
      heard_at = kept_at = owner.shared_->now();
      owner.inbound_->collect(entry.payload);
    }
    void lost(const Position& at, Lost why) override {
      owner.tell_joined(*this);
      owner.inbound_->collect_news(
          nullptr,
          {.kind = HistoryNews::Kind::lost, .room = name, .position = to_string(at), .why = why});
    }
    void joined(Log::Member member, const Log::Joined& how) override;
    void ask(const Log::Question& wanted) override { owner.ask(*this, wanted); }

    RedisHistory& owner;
    const std::string name;
    const std::string channel;
    const HistoryRule& rule;
    std::size_t users = 0;
    Log log;
    Clock::time_point heard_at = {};  ///< When the last message came.
    Clock::time_point kept_at = {};   ///< When Redis was told last that its position counts.
    /// What the log wants to know, until it is sent.
    std::optional<Log::Question> question = {};
    bool is_urgent = false;
    bool was_refused = false;
    std::unordered_map<Log::Member, Waiting> waiting = {};
    std::size_t waiting_limit = 1'024;
    /// What is to be told before anything else: all of it ends at the same message.
    std::vector<ParcelPtr> replay = {};
    std::vector<std::pair<const void*, RecoveryVerdict>> verdicts = {};
    std::vector<std::size_t> replayed = {};  ///< The length of each verdict's replay.
  };

  template <class F>
  void there(F f) {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return;
    boost::asio::post(executor, [self = weak_from_this(), f = std::move(f)] {
      const auto history = self.lock();
      // Once the backplane is gone its clock may be, too.
      if (history && history->shared_->executor()) f(*history);
    });
  }
  /// Does something with the log of a room, and hands over what comes of it.
  template <class F>
  void with(Room& room, F f) {
    f();
    tell_joined(room);
    inbound_->wake();
  }

  void open(const std::string& name);
  void close(const std::string& name);
  void recover_here(const void* member, const std::string& room,
                    const std::vector<RecoveryRequest>& requests);
  void recover_one(Room& room, const void* member, const RecoveryRequest& request);
  void tell_joined(Room& room);
  void refuse(const void* member, const std::string& room, RecoveryTicket ticket, LossReason why) {
    inbound_->collect_news(member, {.kind = HistoryNews::Kind::answer,
                                    .room = room,
                                    .verdicts = {{.ticket = ticket, .lost = why}}});
    inbound_->wake();
  }
  void ask(Room& room, const Log::Question& question);
  void prefer(Room& room);
  void drop_questions() noexcept;
  void append_question(std::vector<std::string>& arguments, const Room& room,
                       const Log::Question& question);
  void on_answer(const std::string& name, const Log::Question& question, const RedisReply& reply);
  void on_refused(Room& room, const Log::Question& question);
  void forget_late(Room& room);
  [[nodiscard]] static Entry entry_of(const std::string& room, const RecordStamp& stamp,
                                      const Epoch& epoch, std::shared_ptr<Parcel> parcel);
  static boost::asio::awaitable<void> run_until_known(std::shared_ptr<RedisHistory> self,
                                                      std::shared_ptr<Outcome> outcome) {
    const boost::asio::any_io_executor executor = self->shared_->executor();
    Clock& clock = self->shared_->clock();
    while (!outcome->known) {
      const Clock::time_point due = clock.now() + self->shared_->options().max_spool_age;
      const bool is_told = co_await wait(outcome->changed, executor, clock, due);
      if (!is_told) self->connection_->expire_all();
    }
  }
  static boost::asio::awaitable<void> run_forget(std::shared_ptr<RedisHistory> self,
                                                 std::string room);
  [[nodiscard]] bool is_per_room() const noexcept {
    return shared_->options().routing == Routing::per_room;
  }
  [[nodiscard]] std::string channel_of(std::string_view room) const {
    return is_per_room() ? room_channel(shared_->options(), room) : shared_->options().channel;
  }
  // On a channel for messages others would take news for a message without a payload.
  [[nodiscard]] std::string news_channel_of(std::string_view room) const {
    return is_per_room() ? room_channel(shared_->options(), room) : shared_->control_channel();
  }
  [[nodiscard]] bool hears(const Room& room) const {
    return is_listening_(room.channel) &&
           (is_per_room() || is_listening_(shared_->control_channel()));
  }
  [[nodiscard]] std::string fresh_epoch() { return std::string(Epoch::random(random_).view()); }
  [[nodiscard]] std::string fresh_mark() { return std::string(Mark::random(random_).view()); }
  /// How long Redis keeps a position for somebody who wants it for @p age: also a short time must
  /// not end between two beats.
  [[nodiscard]] static Clock::duration kept_for(Clock::duration age) noexcept {
    return std::max<Clock::duration>(age, std::chrono::seconds(30));
  }
  /// How long Redis keeps the position of a room in which nothing happens. Where no message was
  /// ever recorded that is as long as a message would stay.
  [[nodiscard]] Clock::duration stays(const Room& room) const noexcept {
    const auto& position = room.log.position();
    return kept_for(position && position->number == 0 ? room.rule.max_age : options_.position_age);
  }

  const std::shared_ptr<const HistoryOptions> rules_;
  const HistoryOptions& options_;
  const RedisSharedPtr shared_;
  const std::shared_ptr<HandlerQueues> inbound_;
  const std::function<bool(const std::string&)> is_listening_;
  std::shared_ptr<RedisScriptConnection> connection_;
  std::size_t number_ = 0;
  HistoryMemory memory_;
  std::unordered_map<std::string, std::unique_ptr<Room>, StringHash, std::equal_to<>> rooms_;
  std::mt19937_64 random_;
  Log::Member last_member_ = 0;
  // Names of rooms with a question; some may be closed, or have asked already. Where somebody
  // talks, the answer is wanted first.
  std::deque<std::string> urgent_;
  std::deque<std::string> patient_;
};

}  // namespace roost::detail

#include "roost/redis/history/redis_history.ipp"
