// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>

#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/backplane/local/local_hub.hpp"
#include "roost/backplane/local/local_line.hpp"
#include "roost/backplane/local_backplane.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost {

namespace detail {

ROOST_DECL void validate(const LocalBackplaneOptions& options) {
  check_option(!options.channel.empty(), "channel must not be empty");
  check_option(options.max_message_bytes > 0, "max_message_bytes must be at least 1");
  check_option(options.max_queued_messages > 0, "max_queued_messages must be at least 1");
  check_option(options.max_queued_bytes >= options.max_message_bytes,
               "max_queued_bytes must be at least max_message_bytes");
  check_option(options.label.size() <= 255 && is_utf8(options.label),
               "label must be UTF-8 of at most 255 bytes");
  check_option(options.clock != nullptr, "clock must not be null");
}

}  // namespace detail

ROOST_DECL LocalHub::LocalHub() : state_(std::make_shared<detail::LocalHubState>()) {}

ROOST_DECL LocalHub::LocalHub(HistoryOptions history, Clock& clock)
    : state_(std::make_shared<detail::LocalHubState>(std::move(history), clock)) {}

ROOST_DECL LocalHubStats LocalHub::stats() const {
  const detail::LogTotals totals = state_->totals();
  return {.rooms = totals.rooms,
          .messages = totals.messages,
          .bytes = totals.bytes,
          .recorded = totals.recorded};
}

struct LocalBackplane::State final : private detail::ContextGuard {
  State(boost::asio::any_io_executor its_executor, std::shared_ptr<detail::LocalHubState> its_hub,
        Options its_options)
      : ContextGuard(boost::asio::query(its_executor, boost::asio::execution::context)),
        options((detail::validate(its_options), std::move(its_options))),
        hub(std::move(its_hub)),
        queues(std::make_shared<detail::HandlerQueues>(
            its_executor,
            detail::QueueLimits{options.max_queued_messages, options.max_queued_bytes},
            options.logger)),
        presence(hub->make_presence(its_executor, options)),
        executor(std::move(its_executor)) {}

  void close() noexcept {
    leave_context();
    on_context_destroyed();
  }
  void on_context_destroyed() noexcept override {
    queues->close();  // first: from then on it cannot join again
    if (presence) presence->close();
    if (line) line->close();
    hub->leave(options.channel, queues);
    executor = boost::asio::any_io_executor();  // a strand must go before its context
  }

  const Options options;
  const std::shared_ptr<detail::LocalHubState> hub;
  const std::shared_ptr<detail::HandlerQueues> queues;
  const std::shared_ptr<detail::LocalPresence> presence;  // null if no room has presence
  boost::asio::any_io_executor executor;
  std::atomic<std::uint64_t> published = 0;
  // Made with the first manager that is bound.
  std::once_flag has_control;
  std::shared_ptr<detail::LocalLine> line = {};
  std::shared_ptr<detail::ControlDesk> desk = {};
};

ROOST_DECL LocalBackplane::LocalBackplane(boost::asio::any_io_executor executor, LocalHub hub,
                                          Options options)
    : state_(std::make_shared<State>(std::move(executor), hub.state(), std::move(options))) {}

ROOST_DECL LocalBackplane::~LocalBackplane() { state_->close(); }

ROOST_DECL const boost::asio::any_io_executor& LocalBackplane::get_executor() const noexcept {
  return state_->executor;
}

ROOST_DECL const LocalBackplane::Options& LocalBackplane::options() const noexcept {
  return state_->options;
}

ROOST_DECL LocalBackplane::awaitable<void> LocalBackplane::start() { return run_start(state_); }

ROOST_DECL LocalBackplane::awaitable<void> LocalBackplane::stop() { return run_stop(state_); }

ROOST_DECL LocalBackplane::awaitable<Published> LocalBackplane::publish(
    const nlohmann::json& message) {
  return publish_text({.text = detail::serialize_message(message, options().max_message_bytes)});
}

ROOST_DECL Subscription LocalBackplane::on(BackplaneHandler handler) {
  return state_->queues->on(std::move(handler));
}

ROOST_DECL LocalBackplane::awaitable<Published> LocalBackplane::publish_wire(
    detail::OutgoingMessage message) {
  detail::check_size(message.text, options().max_message_bytes);
  if (message.is_recorded) {
    const HistoryRule& rule = *detail::find_rule(*state_->hub->history_options(), *message.room);
    detail::check_recorded_size(message.text, rule.max_bytes);
  }
  return publish_text(std::move(message));
}

ROOST_DECL Subscription LocalBackplane::on_parcel(detail::ParcelHandler handler,
                                                  const void* member) {
  return state_->queues->on(std::move(handler), member);
}

ROOST_DECL std::shared_ptr<detail::BackplaneHistory> LocalBackplane::history() const {
  if (!state_->hub->history_options()) return nullptr;
  return std::make_shared<detail::LocalHistory>(state_->hub, state_->options.channel,
                                                state_->queues);
}

ROOST_DECL std::shared_ptr<detail::BackplanePresence> LocalBackplane::presence() const {
  return state_->presence ? state_->presence->presence() : nullptr;
}

ROOST_DECL std::shared_ptr<detail::ControlDesk> LocalBackplane::control() const {
  std::call_once(state_->has_control, [&state = *state_] {
    const std::string& channel = state.options.channel;
    detail::LocalPlace place{channel, state.options.label,
                             [hub = std::weak_ptr(state.hub), channel, queues = state.queues] {
                               const auto its_hub = hub.lock();
                               return its_hub && its_hub->is_started(channel, *queues);
                             }};
    state.line = std::make_shared<detail::LocalLine>(state.hub->lines(), std::move(place),
                                                     state.executor, *state.options.clock);
    state.desk = std::make_shared<detail::ControlDesk>(state.line);
    state.line->use(state.desk);
    state.hub->lines()->add(state.line);
  });
  return state_->desk;
}

ROOST_DECL LocalBackplaneStats LocalBackplane::stats() const {
  const detail::HandlerQueues::Counts counts = state_->queues->counts();
  LocalBackplaneStats stats{.published = state_->published,
                            .received = counts.received,
                            .dropped = counts.dropped,
                            .failed = counts.failed};
  if (state_->presence) state_->presence->fill(stats);
  if (!state_->desk) return stats;
  const detail::ControlCounts asked = state_->desk->counts();
  stats.asks = asked.asks;
  stats.missing_answers = asked.missing;
  stats.replicas = state_->line->replicas().size();
  return stats;
}

ROOST_DECL LocalBackplane::awaitable<void> LocalBackplane::run_start(StatePtr state) {
  if (!state->hub->join(state->options.channel, state->queues)) {
    throw Error(errc::backplane_unavailable, "the LocalBackplane or its io_context is gone");
  }
  if (state->presence) state->presence->begin();
  co_return;
}

ROOST_DECL LocalBackplane::awaitable<void> LocalBackplane::run_stop(StatePtr state) {
  state->hub->leave(state->options.channel, state->queues);
  state->queues->discard();
  if (state->presence) state->presence->end();
  co_return;
}

ROOST_DECL LocalBackplane::awaitable<Published> LocalBackplane::publish_text(
    detail::OutgoingMessage message) {
  if (!message.is_recorded) message.room.reset();
  // Handlers get what a reader in another process would parse, not a copy of the value.
  return run_publish(state_, std::make_shared<detail::Parcel>(std::move(message.text)),
                     std::move(message.room), message.origin);
}

ROOST_DECL LocalBackplane::awaitable<Published> LocalBackplane::run_publish(
    StatePtr state, std::shared_ptr<detail::Parcel> parcel, std::optional<std::string> recorded_in,
    const void* origin) {
  const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
  const detail::PublishedBy by{origin, here};
  const std::string& channel = state->options.channel;
  ++state->published;
  if (!recorded_in) co_return state->hub->publish(channel, parcel, *state->queues, by);
  co_return state->hub->record(channel, *recorded_in, parcel, *state->queues, by);
}

}  // namespace roost
