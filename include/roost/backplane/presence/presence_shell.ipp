// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/presence/presence_shell.hpp"

namespace roost::detail {

ROOST_DECL void PresenceShell::pump() {
  if (!executor() || is_pumping_) return;
  const auto keep = shared_from_this();  // a hook may destroy the backplane
  {
    const ScopedValue pumping(is_pumping_, true);
    do {
      for (const auto& [room, is_open] : rooms_.take_doors()) on_door(room, is_open);
      if (is_begun()) {
        take_turn();
        for (const PresenceCall& call : rooms_.take_calls(now())) perform(call);
      }
      for (const PresenceChange& change : rooms_.take_changes(now())) tell(change);
    } while (executor() && is_begun() && next_due() <= now());
  }
  note_counts();
  arm();
}

ROOST_DECL void PresenceShell::note_counts() {
  const std::lock_guard lock(mutex_);
  counts_ = rooms_.counts();
}

ROOST_DECL void PresenceShell::tell(const PresenceChange& change) {
  const std::vector<Hook> hooks = hooks_;
  for (const Hook& hook : hooks) {
    if (!executor()) return;
    try {
      hook(change);
    } catch (...) {
      log(logger_, Severity::warning, "presence_hook_failed",
          {{"room", change.room}, {"why", describe(std::current_exception())}});
    }
  }
}

ROOST_DECL void PresenceShell::arm() {
  const boost::asio::any_io_executor executor = this->executor();
  if (!executor) return;
  const time_point due = is_begun() ? next_due() : time_point::max();
  if (std::exchange(armed_for_, due) == due) return;
  wake_.notify_all();
  if (due == time_point::max()) return;
  when_notified(wake_, executor, *clock_, due, [weak = weak_from_this()](bool is_woken) {
    const auto self = weak.lock();
    if (is_woken || !self) return;
    self->armed_for_ = time_point::max();
    self->pump();
  });
}

ROOST_DECL void PresenceShell::close() noexcept {
  wake_.notify_all();
  const std::lock_guard lock(mutex_);
  executor_ = boost::asio::any_io_executor();
}

ROOST_DECL boost::asio::awaitable<Presence> PresenceShell::run_present(
    std::shared_ptr<PresenceShell> self, boost::asio::any_io_executor executor, std::string room,
    std::size_t max_listed) {
  co_await next_turn();  // a member that has just joined is there by then
  if (const std::optional<Presence> known = self->rooms_.present(room)) co_return *known;
  if (!self->executor() || !self->is_begun()) throw Error(errc::backplane_unavailable);
  const auto reading = std::make_shared<Reading>();
  self->read(room, max_listed, [reading](const PresenceAnswer* answer) {
    if (answer) reading->answer = *answer;
    reading->is_done = true;
    reading->changed.notify_all();
  });
  while (!reading->is_done) co_await wait(reading->changed, executor, *self->clock_);
  if (!reading->answer) throw Error(errc::backplane_unavailable, "the users of a room");
  Presence presence{.count = reading->answer->count, .is_listed = reading->answer->is_listed};
  for (const PresenceAnswer::Entry& entry : reading->answer->entries) {
    presence.users.push_back(present_user(entry.user, entry.info));
  }
  std::ranges::sort(presence.users, {}, &PresentUser::user);
  co_return presence;
}

}  // namespace roost::detail
