// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/publishing/publisher.hpp"
#include "roost/redis/replica/features.hpp"
#include "roost/redis/subscribing/channels.hpp"

namespace roost::detail {

/// Decides when to probe a silent subscription, and what a missing answer means.
class Probe {
 public:
  enum class Action { wait, send, suspect, lost };
  struct Step {
    Action action;
    Clock::time_point until = {};  ///< Set for `wait`.
  };

  /// @param interval  silence after which a probe is sent
  /// @param timeout   how long each of two probes may take
  Probe(Clock::duration interval, Clock::duration timeout, Clock::time_point now) noexcept
      : interval_(interval), timeout_(timeout), due_(now + interval) {}

  /// Notes that something arrived: the subscription works.
  void heard(Clock::time_point now) noexcept {
    sent_ = 0;
    due_ = now + interval_;
  }

  /// The next step. `send` and `suspect` mean that a probe is to be sent now.
  [[nodiscard]] Step next(Clock::time_point now) noexcept {
    if (now < due_) return {Action::wait, due_};
    due_ = now + timeout_;
    switch (++sent_) {
      case 1: return {Action::send};
      case 2: return {Action::suspect};
      default: return {Action::lost};
    }
  }

 private:
  const Clock::duration interval_;
  const Clock::duration timeout_;
  Clock::time_point due_;
  int sent_ = 0;
};

/// The connection that subscribes. It reconnects after each loss, and is probed while it is silent.
class RedisSubscriber final : public RedisConnection {
 public:
  using StateHook = std::function<void(RedisState)>;

  RedisSubscriber(RedisSharedPtr shared, std::shared_ptr<RedisPublisher> publisher,
                  std::shared_ptr<HandlerQueues> inbound)
      : RedisConnection(shared, "subscriber"),
        publisher_(std::move(publisher)),
        inbound_(std::move(inbound)),
        incoming_(std::move(shared), inbound_) {
    channels_.subscribe(shared_->options().channel);
    channels_.subscribe(shared_->control_channel());
    channels_.subscribe(shared_->probe_channel());
  }

  /// The state. From any thread.
  [[nodiscard]] RedisState state() const noexcept { return state_; }
  [[nodiscard]] bool hears() const noexcept {
    return state_ == RedisState::subscribed || state_ == RedisState::suspect;
  }
  /// Why the connection is down.
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

  /// Begins to connect.
  /// @pre the subscriber is stopped
  void begin() {
    set_state(RedisState::connecting);
    begin_connecting();
  }

  /// Subscribes to a channel, until `unsubscribe` was called as often as this.
  void subscribe(const std::string& channel) {
    channels_.subscribe(channel, shared_->now());
    work_.notify_all();
  }
  void unsubscribe(const std::string& channel) {
    channels_.unsubscribe(channel);
    work_.notify_all();
  }
  /// Waits until Redis has acknowledged all channels wanted now. Does not wait while the connection
  /// is down.
  static boost::asio::awaitable<void> settled(std::shared_ptr<RedisSubscriber> self,
                                              boost::asio::any_io_executor executor) {
    co_await next_turn();  // after calls that were posted before
    if (!self->hears()) co_return;
    self->work_.notify_all();
    const std::uint64_t connection = self->connection_;
    const std::uint64_t noted = self->channels_.noted();
    while (self->connection_ == connection && self->channels_.flushed() < noted) {
      co_await wait(self->acknowledged_, executor, self->shared_->clock());
    }
    const std::uint64_t requested = self->channels_.requested();
    while (self->connection_ == connection && self->channels_.acknowledged() < requested) {
      co_await wait(self->acknowledged_, executor, self->shared_->clock());
    }
  }

  /// Tells of subscriptions and messages.
  void tell(const std::shared_ptr<RedisHistorian>& historian) { historian_ = historian; }
  void tell(const std::shared_ptr<RedisRegistrar>& registrar) { registrar_ = registrar; }
  void tell(const std::shared_ptr<RedisPresencePart>& presence) { presence_ = presence; }
  /// Whether Redis has acknowledged the subscription of @p channel on this connection.
  [[nodiscard]] bool is_listening(const std::string& channel) const {
    return channels_.is_listening(channel);
  }

  void on_state(StateHook hook) { state_hooks_.push_back(std::move(hook)); }
  void on_loss(RedisIncoming::LossHook hook) { incoming_.on_loss(std::move(hook)); }

  /// Notified when the state changes.
  WaitList changed;

 private:
  // How many channels may wait for their answers. The answers for all channels together could
  // exceed the output buffer that Redis has for a client.
  static constexpr std::size_t window = 4 * Channels::batch;

  void set_state(RedisState state) {
    if (state_.exchange(state) == state) return;
    for (const StateHook& hook : state_hooks_) call_later(shared_, hook, state);
    changed.notify_all();
  }

  boost::asio::awaitable<void> prepare(RedisLink::Ptr link) override {
    const std::uint64_t its_generation = generation();
    channels_.connect();
    while (channels_.has_changes() && generation() == its_generation) {
      channels_.flush(link->outgoing(), window);
      co_await RedisLink::send(link, shared_->target(), shared_->executor());
      if (!link->is_open()) throw RedisTrouble(link->why());
      while (channels_.acknowledged() < channels_.requested()) {
        co_await in_time(RedisLink::read_more(link));
        if (generation() != its_generation) co_return;
        heard_at_ = shared_->now();
        while (RedisReply* const reply = link->next()) on_reply(*reply);
        inbound_->flush();
      }
    }
  }
  // The limit applies to each part that arrives: the total time depends on the number of channels.
  boost::asio::awaitable<void> in_time(boost::asio::awaitable<void> step) {
    return with_deadline(std::move(step), shared_->executor(), shared_->clock(),
                         shared_->options().command_timeout);
  }
  void on_up() override {
    set_state(RedisState::subscribed);
    if (lost_at_) publisher_->ask_since(*std::exchange(lost_at_, std::nullopt));
  }
  void on_down(const std::string& why, bool) override {
    if (hears() && !lost_at_) lost_at_ = std::min(heard_at_, publisher_->last_sure_of_primary());
    disconnect();
    why_ = why;
    set_state(RedisState::down);
  }
  // The publisher may be connected to the same Redis.
  void on_unusable_redis(const std::string&) override { publisher_->ask_role(); }
  void on_end() override {
    probe_.reset();
    incoming_.clear();
    disconnect();
    channels_.renew();
    lost_at_.reset();
    set_state(RedisState::stopped);
  }
  void disconnect() {
    ++connection_;
    channels_.disconnect();
    if (const auto historian = historian_.lock()) historian->on_disconnected();
    if (const auto presence = presence_.lock()) presence->on_disconnected();
    asked_at_.reset();
    acknowledged_.notify_all();
  }

  boost::asio::awaitable<void> serve(RedisLink::Ptr link) override {
    const boost::asio::any_io_executor executor = shared_->executor();
    const RedisOptions& options = shared_->options();
    heard_at_ = shared_->now();
    probe_.emplace(options.probe_interval, options.command_timeout, heard_at_);
    const auto self = std::static_pointer_cast<RedisSubscriber>(shared_from_this());
    const RedisReading reading(executor, link, read_messages(self, link, generation()));
    while (link->is_open()) {
      take_commands(link->outgoing());
      if (!link->outgoing().empty()) {
        co_await RedisLink::send(link, shared_->target(), executor);
        continue;
      }
      const Probe::Step step = probe_->next(shared_->now());
      if (step.action == Probe::Action::wait) {
        const Clock::time_point next =
            std::min({step.until, answer_due(), incoming_.next_expiry()});
        co_await wait(work_, executor, shared_->clock(), next);
        incoming_.expire();
        if (shared_->now() >= answer_due()) link->close("SUBSCRIBE is not answered");
      } else if (step.action == Probe::Action::lost) {
        link->close("no probe came back");
      } else {
        if (step.action == Probe::Action::suspect) suspect();
        publisher_->send_probe();
      }
    }
  }

  void take_commands(std::string& commands) {
    const std::size_t outstanding = channels_.outstanding();
    if (!channels_.has_changes() || outstanding > window / 2) return;
    const bool was_answered = channels_.acknowledged() == channels_.requested();
    channels_.flush(commands, window - outstanding);
    if (was_answered) asked_at_ = shared_->now();
    acknowledged_.notify_all();  // a change that was undone needs no answer
  }
  [[nodiscard]] Clock::time_point answer_due() const {
    const bool is_answered = channels_.acknowledged() == channels_.requested();
    return is_answered || !asked_at_ ? Timer::never()
                                     : *asked_at_ + shared_->options().command_timeout;
  }

  void suspect() {
    shared_->log(Severity::warning, "redis_suspect", {{"why", "a probe did not come back"}});
    set_state(RedisState::suspect);
  }

  static boost::asio::awaitable<void> read_messages(std::shared_ptr<RedisSubscriber> self,
                                                    RedisLink::Ptr link, std::uint64_t generation) {
    try {
      for (;;) {
        const Clock::time_point expiry = self->incoming_.next_expiry();
        while (RedisReply* reply = link->next()) self->on_reply(*reply);
        if (self->incoming_.next_expiry() < expiry) self->work_.notify_all();
        self->inbound_->flush();
        // Meanwhile messages wait at Redis and in the sockets.
        while (self->inbound_->is_crowded()) co_await next_turn();
        if (self->generation() != generation) co_return;  // a handler may do anything
        co_await RedisLink::read_more(link);
        if (self->generation() != generation || !link->is_open()) co_return;
        self->heard_at_ = self->shared_->now();
        self->probe_->heard(self->heard_at_);
        self->set_state(RedisState::subscribed);
      }
    } catch (...) {
      link->close_after_error();
    }
    self->inbound_->flush();
    self->work_.notify_all();
  }

  void on_reply(RedisReply& reply) {
    if (reply.is_error()) throw RedisTrouble("SUBSCRIBE: " + reply.text);
    if (reply.elements.size() != 3) return;
    const std::string& kind = reply.elements[0].text;
    const std::string& channel = reply.elements[1].text;
    if (kind == "subscribe") {
      channels_.acknowledge(channel, shared_->now());
      asked_at_.reset();
      if (channels_.acknowledged() < channels_.requested()) asked_at_ = shared_->now();
      if (channels_.has_changes()) work_.notify_all();  // room for the next commands
      acknowledged_.notify_all();
      const auto historian = historian_.lock();
      if (historian && channels_.is_listening(channel)) historian->on_subscribed(channel);
      const auto presence = presence_.lock();
      if (presence && channels_.is_listening(channel)) presence->on_subscribed(channel);
    } else if (kind == "unsubscribe") {
      channels_.acknowledge_end();
      if (channels_.has_changes()) work_.notify_all();
    } else if (kind != "message") {
      return;
    } else if (channel == shared_->probe_channel()) {
      if (const auto registrar = registrar_.lock()) registrar->on_message(reply.elements[2].text);
    } else if (channel == shared_->control_channel()) {
      const auto historian = historian_.lock();
      if (historian && historian->on_message(reply.elements[2].text)) return;
      const auto registrar = registrar_.lock();
      if (registrar && registrar->on_message(reply.elements[2].text)) return;
      on_control(reply.elements[2].text);
    } else if (const Channels::Channel* wanted = channels_.find(channel)) {
      std::string& text = reply.elements[2].text;
      const auto presence = presence_.lock();
      if (presence && presence->on_message(channel, text)) return;
      const bool may_be_control = shared_->options().routing == Routing::per_room;
      if (may_be_control && is_announcement(text)) return on_control(text);
      const auto historian = historian_.lock();
      if (historian && historian->on_message(text)) return;
      incoming_.on_message(channel, channels_.listening(*wanted), text, heard_at_);
    }
  }
  void on_control(const std::string& text) {
    const auto away = incoming_.on_control(text, channels_);
    if (away) publisher_->answer_since(shared_->now() - *away - shared_->options().command_timeout);
  }

  const std::shared_ptr<RedisPublisher> publisher_;
  std::weak_ptr<RedisHistorian> historian_;
  std::weak_ptr<RedisRegistrar> registrar_;
  std::weak_ptr<RedisPresencePart> presence_;
  const std::shared_ptr<HandlerQueues> inbound_;
  RedisIncoming incoming_;
  std::vector<StateHook> state_hooks_;

  std::atomic<RedisState> state_ = RedisState::stopped;
  std::string why_;
  Channels channels_;
  std::uint64_t connection_ = 0;  // changes with each connection
  std::optional<Clock::time_point> asked_at_;
  WaitList acknowledged_;  // notified after commands and answers, and on disconnect
  WaitList work_;
  Clock::time_point heard_at_{};
  std::optional<Clock::time_point> lost_at_;  // from then on messages may be missed
  std::optional<Probe> probe_;
};

inline std::string room_channel(const RedisOptions& options, std::string_view room) {
  return options.channel + ":room:" + std::string(room);
}

/// Forwards the rooms of bound managers, from any thread, to the subscriber.
class RedisRooms final : public RoomRouting {
 public:
  RedisRooms(RedisSharedPtr shared, std::shared_ptr<RedisSubscriber> subscriber)
      : shared_(std::move(shared)), subscriber_(std::move(subscriber)) {}

  void enter(std::string_view room) override { post(&RedisSubscriber::subscribe, room); }
  void leave(std::string_view room) noexcept override {
    try {
      post(&RedisSubscriber::unsubscribe, room);
    } catch (...) {  // the room stays subscribed, which is harmless
    }
  }
  boost::asio::awaitable<void> settled() override {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return nothing();
    return on_executor(executor, RedisSubscriber::settled(subscriber_, executor));
  }

 private:
  using Member = void (RedisSubscriber::*)(const std::string&);

  void post(Member member, std::string_view room) {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return;
    boost::asio::post(executor, [subscriber = subscriber_, member,
                                 channel = room_channel(shared_->options(), room)] {
      ((*subscriber).*member)(channel);
    });
  }
  static boost::asio::awaitable<void> nothing() { co_return; }

  const RedisSharedPtr shared_;
  const std::shared_ptr<RedisSubscriber> subscriber_;
};

}  // namespace roost::detail
