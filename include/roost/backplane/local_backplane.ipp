// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/backplane/detail/handler_queues.hpp"
#include "roost/backplane/local_backplane.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost {

namespace detail {

/// Which backplanes of this process have started, by channel.
///
/// The mutex is there because they are on several threads. It also makes publishing one step: all
/// receivers of a channel see the same order, and none that has left gets anything.
class LocalHubState {
 public:
  /// @returns false if it is closed.
  bool join(const std::string& channel, const std::shared_ptr<Inbound>& inbound) {
    const std::lock_guard lock(mutex_);
    if (!inbound->is_open()) return false;
    std::vector<std::shared_ptr<Inbound>>& members = channels_[channel];
    if (std::find(members.begin(), members.end(), inbound) == members.end()) {
      members.push_back(inbound);
    }
    return true;
  }

  void leave(std::string_view channel, const std::shared_ptr<Inbound>& inbound) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return;
    std::erase(found->second, inbound);
    if (found->second.empty()) channels_.erase(found);
  }

  /// @param own  the publisher's
  Published publish(std::string_view channel, const ParcelPtr& parcel, const Inbound& own,
                    const PublishedBy& by) {
    const std::lock_guard lock(mutex_);
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return {.receivers = 0};
    Published published{.receivers = found->second.size()};
    for (const std::shared_ptr<Inbound>& inbound : found->second) {
      const Delivered delivered = inbound->deliver(parcel, by);
      if (inbound.get() == &own) published.local = delivered.taken;
      published.missed += delivered.missed;
    }
    if (published.missed > 0) published.error = make_error_code(errc::backplane_full);
    return published;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Inbound>>, StringHash,
                     std::equal_to<>>
      channels_;
};

ROOST_DECL void validate(const LocalBackplaneOptions& options) {
  check_option(!options.channel.empty(), "channel must not be empty");
  check_option(options.max_message_bytes > 0, "max_message_bytes must be at least 1");
  check_option(options.max_queued_messages > 0, "max_queued_messages must be at least 1");
  check_option(options.max_queued_bytes >= options.max_message_bytes,
               "max_queued_bytes must be at least max_message_bytes");
}

}  // namespace detail

ROOST_DECL LocalHub::LocalHub() : state_(std::make_shared<detail::LocalHubState>()) {}

struct LocalBackplane::State final : private detail::ContextGuard {
  State(boost::asio::any_io_executor its_executor, std::shared_ptr<detail::LocalHubState> its_hub,
        Options its_options)
      : ContextGuard(boost::asio::query(its_executor, boost::asio::execution::context)),
        options((detail::validate(its_options), std::move(its_options))),
        hub(std::move(its_hub)),
        inbound(std::make_shared<detail::Inbound>(
            its_executor,
            detail::InboundLimits{options.max_queued_messages, options.max_queued_bytes},
            options.logger)),
        executor(std::move(its_executor)) {}

  void close() noexcept {
    leave_context();
    on_context_destroyed();
  }
  void on_context_destroyed() noexcept override {
    inbound->close();  // first: from then on it cannot join again
    hub->leave(options.channel, inbound);
    executor = boost::asio::any_io_executor();  // a strand must go before its context
  }

  const Options options;
  const std::shared_ptr<detail::LocalHubState> hub;
  const std::shared_ptr<detail::Inbound> inbound;
  boost::asio::any_io_executor executor;
  std::atomic<std::uint64_t> published = 0;
};

ROOST_DECL LocalBackplane::LocalBackplane(boost::asio::any_io_executor executor, LocalHub hub,
                                          Options options)
    : state_(std::make_shared<State>(std::move(executor), std::move(hub.state_),
                                     std::move(options))) {}

ROOST_DECL LocalBackplane::~LocalBackplane() { state_->close(); }

ROOST_DECL const boost::asio::any_io_executor& LocalBackplane::get_executor() const noexcept {
  return state_->executor;
}

ROOST_DECL const LocalBackplane::Options& LocalBackplane::options() const noexcept {
  return state_->options;
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<void> LocalBackplane::start() {
  return run_start(state_);
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<void> LocalBackplane::stop() {
  return run_stop(state_);
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<Published> LocalBackplane::publish(
    const nlohmann::json& message) {
  return publish_text(detail::serialize_message(message, options().max_message_bytes), nullptr);
}

ROOST_DECL Subscription LocalBackplane::on(BackplaneHandler handler) {
  return state_->inbound->on(std::move(handler));
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<Published> LocalBackplane::publish_wire(
    detail::OutgoingMessage message) {
  detail::check_size(message.text, options().max_message_bytes);
  return publish_text(std::move(message.text), message.origin);
}

ROOST_DECL Subscription LocalBackplane::on_parcel(detail::ParcelHandler handler,
                                                  const void* member) {
  return state_->inbound->on(std::move(handler), member);
}

ROOST_DECL LocalBackplaneStats LocalBackplane::stats() const {
  const detail::Inbound::Counts counts = state_->inbound->counts();
  return {.published = state_->published,
          .received = counts.received,
          .dropped = counts.dropped,
          .failed = counts.failed};
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<void> LocalBackplane::run_start(StatePtr state) {
  if (!state->hub->join(state->options.channel, state->inbound)) {
    throw Error(errc::backplane_unavailable, "the LocalBackplane or its io_context is gone");
  }
  co_return;
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<void> LocalBackplane::run_stop(StatePtr state) {
  state->hub->leave(state->options.channel, state->inbound);
  state->inbound->discard();
  co_return;
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<Published> LocalBackplane::publish_text(
    std::string text, const void* origin) {
  // What a reader in another process would see, rather than a copy.
  return run_publish(state_, std::make_shared<const detail::Parcel>(std::move(text)), origin);
}

ROOST_WHEN_USED_DEF LocalBackplane::awaitable<Published> LocalBackplane::run_publish(
    StatePtr state, detail::ParcelPtr parcel, const void* origin) {
  const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
  const detail::PublishedBy by{origin, here};
  ++state->published;
  co_return state->hub->publish(state->options.channel, parcel, *state->inbound, by);
}

}  // namespace roost
