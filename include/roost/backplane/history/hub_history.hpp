// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/detail/wire_message.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/history/log_store.hpp"
#include "roost/backplane/history/position.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/history/records.hpp"

namespace roost::detail {

/// The histories of the rooms at a `LocalHub`, one for each channel. Who publishes and who asks
/// takes turns by the hub's mutex, so an answer is a snapshot of what was published before.
class HubHistory {
 public:
  /// @par Errors  `errc::invalid_option`, naming the field
  HubHistory(HistoryOptions options, Clock& clock);

  [[nodiscard]] const std::shared_ptr<const HistoryOptions>& options() const noexcept {
    return options_;
  }

  // With the hub's mutex held.

  /// Takes the time for the calls that follow. Not called for a backplane that is gone: its manager
  /// may still have members here when the clock is gone, too.
  void look_at_clock() noexcept { now_ = clock_.now(); }

  /// Notes that a manager has members in @p room, or has none any more.
  void enter(std::string_view channel, const std::string& room) {
    store(channel).enter(room, now_);
  }
  void leave(std::string_view channel, const std::string& room) noexcept;

  /// Makes @p parcel a recorded message of @p room, before anybody has it.
  /// @returns the position before it
  std::string record(std::string_view channel, const std::string& room,
                     const std::shared_ptr<Parcel>& parcel);
  [[nodiscard]] HistoryNews recover(std::string_view channel, const std::string& room,
                                    std::vector<RecoveryRequest> requests);
  [[nodiscard]] HistoryNews forget(std::string_view channel, const std::string& room);
  /// Of all channels; drops some of what is too old before.
  [[nodiscard]] LogTotals totals();

 private:
  using Store = LogStore<ParcelPtr>;

  Store& store(std::string_view channel);

  const std::shared_ptr<const HistoryOptions> options_;
  Clock& clock_;
  Clock::time_point now_ = {};
  std::mt19937_64 random_;
  std::unordered_map<std::string, Store, StringHash, std::equal_to<>> stores_;
};

/// What a connection gets of a snapshot of the log, which ends at its newest message.
/// @pre the snapshot has all that the log has of what is newer than what is asked for
[[nodiscard]] RecoveryVerdict judge(const LogAnswer<ParcelPtr>& snapshot,
                                    const RecoveryRequest& request);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/history/hub_history.ipp"
#endif
