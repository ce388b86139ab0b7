// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/sending/pace.hpp"

namespace roost::detail {

/// Returns the bytes taken between two looks. With TLS the count may go back by a few bytes.
ROOST_DECL std::uint64_t taken_since(std::uint64_t before, std::uint64_t now) noexcept {
  return static_cast<std::int64_t>(now - before) > 0 ? now - before : 0;
}

ROOST_DECL void Pace::begin_floor(time_point now, const Look& look, const Limits& limits) noexcept {
  floor_began_ = now;
  floor_taken_ = look.progress.taken;
  required_ = std::min(limits.min_progress_bytes, look.progress.pending);
  had_grace_ = false;
}

ROOST_DECL void Pace::begin_window(time_point now, const Look& look) noexcept {
  window_began_ = now;
  window_taken_ = look.progress.taken;
  round_trip_ = look.progress.round_trip;
  had_grace_ = false;
}

// Four round trips allow for a lost acknowledgement, which needs a retransmission or two.
ROOST_DECL Pace::duration Pace::patience(const Limits& limits) const noexcept {
  return std::min(std::max(limits.patience, 4 * round_trip_), limits.send_timeout);
}

ROOST_DECL Pace::time_point Pace::due(const Limits& limits) const noexcept {
  auto due = time_point::max();
  if (limits.min_progress_bytes > 0) due = floor_began_ + limits.send_timeout;
  if (is_over_) due = std::min(due, window_began_ + patience(limits));
  return due;
}

// A first burst may leave any amount, as long as the peer takes some of it. Bytes queued on top of
// it must not grow faster than the peer reads.
ROOST_DECL bool Pace::keeps_up(time_point now, const Look& look,
                               const Limits& limits) const noexcept {
  const std::uint64_t taken = taken_since(window_taken_, look.progress.taken);
  if (taken == 0) return false;
  if (burst_ == 0) return true;
  constexpr double longest = 12;  // in send timeouts: a minute
  const double surplus = static_cast<double>(look.backlog - limits.max_outbox_bytes);
  const double window = std::chrono::duration<double>(now - window_began_).count();
  const double time = longest * std::chrono::duration<double>(limits.send_timeout).count();
  return surplus * window <= static_cast<double>(taken) * time;
}

// If the flush before this look wrote bytes, the loop was late: the peer could not take them
// earlier, so it gets more time once.
ROOST_DECL bool Pace::is_graced(time_point now, const Look& look, const Limits& limits) noexcept {
  if (!look.wrote || had_grace_) return false;
  begin_window(now, look);
  floor_began_ = std::max(floor_began_, now + patience(limits) - limits.send_timeout);
  had_grace_ = true;
  return true;
}

ROOST_DECL Pace::Verdict Pace::on_excess(time_point now, const Look& look,
                                         const Limits& limits) noexcept {
  const bool is_known = now - window_began_ >= patience(limits);
  if (is_known && !keeps_up(now, look, limits)) return Verdict::too_full;
  if (taken_since(window_taken_, look.progress.taken) > 0) begin_window(now, look);
  is_over_ = true;
  return Verdict::fine;
}

ROOST_DECL Pace::Verdict Pace::judge(time_point now, const Look& look,
                                     const Limits& limits) noexcept {
  burst_ = look.backlog > limits.max_outbox_bytes ? std::min(burst_, look.backlog) : 0;
  if (taken_since(floor_taken_, look.progress.taken) >= required_) {
    begin_floor(now, look, limits);
  } else if (now >= floor_began_ + limits.send_timeout) {
    if (!is_graced(now, look, limits)) return Verdict::too_slow;
  }
  if (!is_over_ || now < window_began_ + patience(limits)) return Verdict::fine;
  if (look.backlog > limits.max_outbox_bytes + burst_ && !keeps_up(now, look, limits)) {
    return is_graced(now, look, limits) ? Verdict::fine : Verdict::too_full;
  }
  is_over_ = false;
  burst_ = look.backlog > limits.max_outbox_bytes ? look.backlog : 0;
  begin_window(now, look);
  return Verdict::fine;
}

ROOST_DECL int Pace::rank(time_point now, const Look& look, const Limits& limits) const noexcept {
  if (taken_since(window_taken_, look.progress.taken) > 0) return 2;
  return now - window_began_ >= patience(limits) ? 0 : 1;
}

}  // namespace roost::detail
