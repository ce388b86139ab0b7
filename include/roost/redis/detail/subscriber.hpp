// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "roost/clock.hpp"
#include "roost/detail/backoff.hpp"
#include "roost/detail/child.hpp"
#include "roost/detail/describe.hpp"
#include "roost/detail/inbound.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wire_message.hpp"
#include "roost/error.hpp"
#include "roost/redis/detail/channels.hpp"
#include "roost/redis/detail/link.hpp"
#include "roost/redis/detail/probe.hpp"
#include "roost/redis/detail/publisher.hpp"
#include "roost/redis/detail/sequences.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/detail/stamp.hpp"

namespace roost::detail {

/// The connection that listens: subscribed again after each loss, and asked whether it still works
/// while it is silent.
class RedisSubscriber : public std::enable_shared_from_this<RedisSubscriber> {
  using Self = std::shared_ptr<RedisSubscriber>;

 public:
  using StateHook = std::function<void(RedisState)>;
  using LossHook = std::function<void(const RedisLoss&)>;

  RedisSubscriber(RedisSharedPtr shared, std::shared_ptr<RedisPublisher> publisher,
                  std::shared_ptr<Inbound> inbound)
      : shared_(std::move(shared)),
        publisher_(std::move(publisher)),
        inbound_(std::move(inbound)),
        sequences_(max_publishers) {
    channels_.enter(shared_->options().channel);
    channels_.enter(shared_->control_channel());
    channels_.enter(shared_->probe_channel());
  }

  /// From any thread.
  [[nodiscard]] RedisState state() const noexcept { return state_; }
  [[nodiscard]] bool hears() const noexcept {
    return state_ == RedisState::subscribed || state_ == RedisState::suspect;
  }
  /// Why it is down.
  [[nodiscard]] const std::string& why() const noexcept { return why_; }
  /// Another for each `begin` and `reset`.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  /// @pre it is stopped
  void begin() {
    set_state(RedisState::connecting);
    child_ = Child<void>::start(shared_->executor(), run(shared_from_this(), ++generation_));
  }
  /// Ends everything at once. @returns what ends; may be null.
  std::shared_ptr<Child<void>> reset() {
    auto child = std::move(child_);
    release();
    if (child) child->cancel();
    return child;
  }
  /// The same where the coroutines go by themselves, with the `io_context`.
  void release() {
    ++generation_;
    child_.reset();
    probe_.reset();
    sequences_.clear();
    disconnect();
    set_state(RedisState::stopped);
  }

  /// A channel of a room is wanted, or not any more. Once for each user of it.
  void enter(const std::string& channel) {
    channels_.enter(channel);
    work_.notify_all();
  }
  void leave(const std::string& channel) {
    channels_.leave(channel);
    work_.notify_all();
  }
  /// Waits until Redis has acknowledged all that is wanted now; not while it is not heard.
  static boost::asio::awaitable<void> settled(Self self, boost::asio::any_io_executor executor) {
    co_await boost::asio::post(boost::asio::use_awaitable);  // after what was posted before
    if (!self->hears()) co_return;
    self->channels_.flush(self->outgoing_);
    self->work_.notify_all();
    const std::uint64_t connection = self->connection_;
    const std::uint64_t requested = self->channels_.requested();
    while (self->connection_ == connection && self->channels_.acknowledged() < requested) {
      co_await wait(self->acknowledged_, executor, self->shared_->clock());
    }
  }

  void on_state(StateHook hook) { state_hooks_.push_back(std::move(hook)); }
  void on_loss(LossHook hook) { loss_hooks_.push_back(std::move(hook)); }

  /// Notified when the state changes.
  WaitList changed;

 private:
  static constexpr std::size_t max_publishers = 4096;

  void set_state(RedisState state) {
    if (state_.exchange(state) == state) return;
    for (const StateHook& hook : state_hooks_) call_later(hook, state);
    changed.notify_all();
  }

  // A hook may do anything, even destroy the backplane.
  template <class Hook, class Argument>
  void call_later(Hook hook, Argument argument) {
    const boost::asio::any_io_executor executor = shared_->executor();
    if (!executor) return;
    boost::asio::post(executor,
                      [shared = shared_, hook = std::move(hook), argument = std::move(argument)] {
                        if (shared->is_gone()) return;
                        try {
                          hook(argument);
                        } catch (...) {
                          shared->log(Severity::warning, "redis_hook_failed",
                                      {{"why", describe(std::current_exception())}});
                        }
                      });
  }

  static boost::asio::awaitable<void> run(Self self, std::uint64_t generation) {
    const RedisSharedPtr shared = self->shared_;
    const boost::asio::any_io_executor executor = shared->executor();
    co_await boost::asio::post(boost::asio::use_awaitable);
    Backoff backoff(shared->options().min_retry_delay, shared->options().max_retry_delay);
    while (self->generation_ == generation) {
      std::string why;
      RedisLink::Ptr link;
      try {
        link = co_await RedisLink::connect(executor, shared->target());
        co_await with_deadline(subscribe(self, link, generation), executor, shared->clock(),
                               shared->options().command_timeout);
      } catch (const boost::system::system_error& error) {  // SUBSCRIBE; or it is cancelled
        why = RedisLink::describe(error, shared->options().command_timeout);
      } catch (const RedisTrouble& trouble) {
        why = trouble.what();
      }
      if (self->generation_ != generation) co_return;
      if (why.empty()) {
        backoff.reset();
        ++shared->stats.connects;
        shared->log_connected("subscriber");
        self->set_state(RedisState::subscribed);
        co_await serve(self, link, executor);
        if (self->generation_ != generation) co_return;
        why = link->why();
      }
      self->go_down(why);
      const auto delay = backoff.next(RedisShared::random_share());
      co_await sleep_until(executor, shared->clock(), shared->now() + delay);
    }
  }

  void disconnect() {
    ++connection_;
    channels_.disconnect();
    outgoing_.clear();
    asked_at_.reset();
    acknowledged_.notify_all();
  }
  void go_down(const std::string& why) {
    disconnect();
    why_ = why;
    if (state_ != RedisState::down) shared_->log_lost("subscriber", why);
    set_state(RedisState::down);
  }

  static boost::asio::awaitable<void> subscribe(Self self, RedisLink::Ptr link,
                                                std::uint64_t generation) {
    self->channels_.connect();
    std::string commands;
    self->channels_.flush(commands);
    auto writing = RedisLink::write(link, std::move(commands));
    co_await std::move(writing);
    const std::uint64_t requested = self->channels_.requested();
    while (self->channels_.acknowledged() < requested) {
      RedisReply reply = co_await RedisLink::read(link);
      if (self->generation_ != generation) co_return;
      self->on_reply(reply);
    }
  }

  /// Until the connection is lost.
  static boost::asio::awaitable<void> serve(Self self, RedisLink::Ptr link,
                                            boost::asio::any_io_executor executor) {
    const RedisSharedPtr shared = self->shared_;
    const RedisOptions& options = shared->options();
    self->probe_.emplace(options.probe_interval, options.command_timeout, shared->now());
    const RedisReading reading(executor, link, read_messages(self, link, self->generation_));
    while (link->is_open()) {
      std::string commands = self->take_commands();
      if (!commands.empty()) {
        co_await RedisLink::send(link, std::move(commands), shared->target(), executor);
        continue;
      }
      const Probe::Step step = self->probe_->next(shared->now());
      if (step.action == Probe::Action::wait) {
        const Clock::time_point next = std::min(step.until, self->answer_due());
        co_await wait(self->work_, executor, shared->clock(), next);
        if (shared->now() >= self->answer_due()) link->close("SUBSCRIBE is not answered");
      } else if (step.action == Probe::Action::lost) {
        link->close("no probe comes back");
      } else {
        if (step.action == Probe::Action::suspect) self->suspect();
        self->publisher_->send_probe();
      }
    }
  }

  std::string take_commands() {
    channels_.flush(outgoing_);
    if (!outgoing_.empty() && !asked_at_) asked_at_ = shared_->now();
    return std::exchange(outgoing_, {});
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

  static boost::asio::awaitable<void> read_messages(Self self, RedisLink::Ptr link,
                                                    std::uint64_t generation) {
    try {
      for (;;) {
        while (auto reply = link->next()) self->on_reply(*reply);
        co_await RedisLink::read_more(link);
        if (self->generation_ != generation || !link->is_open()) co_return;
        self->probe_->heard(self->shared_->now());
        self->set_state(RedisState::subscribed);
      }
    } catch (const boost::system::system_error& error) {
      link->close(RedisLink::describe(error, {}));
    } catch (const std::exception& error) {
      link->close(error.what());
    }
    self->work_.notify_all();
  }

  void on_reply(RedisReply& reply) {
    if (reply.is_error()) throw RedisTrouble("SUBSCRIBE: " + reply.text);
    if (reply.elements.size() != 3) return;
    const std::string& kind = reply.elements[0].text;
    const std::string& channel = reply.elements[1].text;
    if (kind == "subscribe") {
      channels_.acknowledge(channel);
      asked_at_.reset();
      if (channels_.acknowledged() < channels_.requested()) asked_at_ = shared_->now();
      acknowledged_.notify_all();
    } else if (kind != "message" || channel == shared_->probe_channel()) {
      return;
    } else if (channel == shared_->control_channel()) {
      on_control(reply.elements[2].text);
    } else if (const Channels::Channel* wanted = channels_.find(channel)) {
      on_message(channel, wanted->subscription, reply.elements[2].text);
    }
  }

  void on_message(const std::string& channel, std::uint64_t subscription, std::string& text) {
    std::optional<SequenceStamp> stamp = cut_stamp(text);
    if (stamp && stamp->node == shared_->node()) return note_echo();
    OrSkipped<nlohmann::json> parsed = parse_message(text);
    if (const auto* skipped = std::get_if<Skipped>(&parsed)) {
      ++shared_->stats.skipped;
      return shared_->log(Severity::warning, "backplane_message_skipped",
                          {{"channel", channel}, {"why", skipped->why}});
    }
    auto& message = std::get<nlohmann::json>(parsed);
    if (!stamp) stamp = take_stamp(message);
    if (stamp) {
      if (stamp->node == shared_->node()) return note_echo();
      const SequenceVerdict verdict = sequences_.note(channel, subscription, *stamp);
      report(channel, stamp->node, verdict);
      if (verdict.kind == SequenceVerdict::Kind::duplicate) return;
    }
    inbound_->deliver(std::make_shared<const Parcel>(
        Parcel{.message = std::move(message), .bytes = text.size()}));
  }

  // Its handlers have the message already.
  void note_echo() noexcept { ++shared_->stats.echoes; }

  void on_control(const std::string& text) {
    const OrSkipped<nlohmann::json> parsed = parse_message(text);
    const auto* message = std::get_if<nlohmann::json>(&parsed);
    if (!message) return;
    const auto announcement = read_announcement(*message);
    if (!announcement || announcement->sender.node == shared_->node()) return;
    for (const auto& [channel, sequence] : announcement->last) {
      const Channels::Channel* wanted = channels_.find(channel);
      if (!wanted || wanted->pending > 0) continue;
      SequenceStamp stamp = announcement->sender;
      stamp.sequence = sequence;
      report(channel, stamp.node, sequences_.announced(channel, wanted->subscription, stamp));
    }
  }

  void report(const std::string& channel, const std::string& node, const SequenceVerdict& verdict) {
    if (verdict.kind == SequenceVerdict::Kind::expected) return;
    const RedisLoss loss{.is_duplicate = verdict.kind == SequenceVerdict::Kind::duplicate,
                         .node = node,
                         .channel = channel,
                         .first = verdict.first,
                         .last = verdict.last};
    (loss.is_duplicate ? shared_->stats.duplicates : shared_->stats.lost) += loss.count();
    shared_->log(Severity::warning,
                 loss.is_duplicate ? "redis_duplicate_messages" : "redis_lost_messages",
                 {{"channel", channel},
                  {"node", node},
                  {"first", std::to_string(loss.first)},
                  {"last", std::to_string(loss.last)}});
    for (const LossHook& hook : loss_hooks_) call_later(hook, loss);
  }

  const RedisSharedPtr shared_;
  const std::shared_ptr<RedisPublisher> publisher_;
  const std::shared_ptr<Inbound> inbound_;
  std::vector<StateHook> state_hooks_;
  std::vector<LossHook> loss_hooks_;

  std::atomic<RedisState> state_ = RedisState::stopped;
  std::string why_;
  Sequences sequences_;
  Channels channels_;
  std::uint64_t connection_ = 0;  // another for each
  std::string outgoing_;
  std::optional<Clock::time_point> asked_at_;
  WaitList acknowledged_;  // notified when something is, or is not waited for any more
  WaitList work_;
  std::optional<Probe> probe_;
  std::uint64_t generation_ = 0;  // the coroutine of an old one ends
  std::shared_ptr<Child<void>> child_;
};

}  // namespace roost::detail
