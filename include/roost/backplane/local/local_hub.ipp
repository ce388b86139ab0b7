// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/local/local_hub.hpp"
#include "roost/backplane/local_backplane.hpp"

namespace roost::detail {

ROOST_DECL HubHistory::HubHistory(HistoryOptions options, Clock& clock)
    : options_((check_history(options), std::make_shared<HistoryOptions>(std::move(options)))),
      clock_(clock) {
  // Epochs and marks must differ from those of every other process.
  std::random_device system;
  std::seed_seq seed{system(), system(), system(), system()};
  random_.seed(seed);
}

ROOST_DECL void HubHistory::leave(std::string_view channel, const std::string& room) noexcept {
  const auto found = stores_.find(channel);
  if (found != stores_.end()) found->second.leave(room, now_);
}

ROOST_DECL std::string HubHistory::record(std::string_view channel, const std::string& room,
                                          const std::shared_ptr<Parcel>& parcel) {
  const auto bytes = static_cast<std::uint32_t>(parcel->bytes());
  const Store::Recorded recorded = store(channel).record(
      room, {.mark = Mark::random(random_), .bytes = bytes, .payload = parcel},
      Epoch::random(random_), now_);
  parcel->record_at(room, to_string(recorded.at));
  return to_string(Position{recorded.at.epoch, recorded.at.number - 1, recorded.entry.before});
}

ROOST_DECL HistoryNews HubHistory::recover(std::string_view channel, const std::string& room,
                                           std::vector<RecoveryRequest> requests) {
  const LogAnswer<ParcelPtr> snapshot =
      store(channel).read(room, 0, Epoch::random(random_), Mark::random(random_), now_,
                          std::numeric_limits<std::size_t>::max());
  HistoryNews news{
      .kind = HistoryNews::Kind::answer, .room = room, .position = to_string(snapshot.top)};
  std::size_t first = snapshot.entries.size();
  for (const RecoveryRequest& request : requests) {
    news.verdicts.push_back(judge(snapshot, request));
    first = std::min(first, news.verdicts.back().first);
  }
  // Earlier messages would be decoded for nothing.
  for (RecoveryVerdict& verdict : news.verdicts) verdict.first -= first;
  news.messages.reserve(snapshot.entries.size() - first);
  for (std::size_t i = first; i < snapshot.entries.size(); ++i) {
    news.messages.push_back(snapshot.entries[i].payload);
  }
  return news;
}

ROOST_DECL HistoryNews HubHistory::forget(std::string_view channel, const std::string& room) {
  const Position now =
      store(channel).forget(room, Epoch::random(random_), Mark::random(random_), now_);
  return {.kind = HistoryNews::Kind::lost,
          .room = room,
          .position = to_string(now),
          .why = LossReason::epoch};
}

ROOST_DECL LogTotals HubHistory::totals() {
  constexpr std::size_t most = 256;  // others wait for the hub meanwhile
  LogTotals all;
  for (auto& [channel, store] : stores_) {
    store.expire(now_, most);
    const LogTotals totals = store.totals();
    all.rooms += totals.rooms;
    all.messages += totals.messages;
    all.bytes += totals.bytes;
    all.recorded += totals.recorded;
  }
  return all;
}

ROOST_DECL HubHistory::Store& HubHistory::store(std::string_view channel) {
  const auto found = stores_.find(channel);
  if (found != stores_.end()) return found->second;
  return stores_.try_emplace(std::string(channel), *options_).first->second;
}

/// Where a client stands that has sent @p since: the number of the first message that it misses, or
/// why that cannot be told.
ROOST_DECL std::variant<std::size_t, LossReason> find_place(const LogAnswer<ParcelPtr>& snapshot,
                                                            std::string_view since) {
  const auto& entries = snapshot.entries;
  const std::optional<Position> at = parse_position(since);
  if (!at) return LossReason::malformed;
  if (at->epoch != snapshot.top.epoch || at->number > snapshot.top.number) return LossReason::epoch;
  const std::uint64_t kept = entries.size();
  const std::uint64_t missed = snapshot.top.number - at->number;
  if (missed > kept) return LossReason::gone;
  const auto first = static_cast<std::size_t>(kept - missed);
  const Mark& mark = first < kept ? entries[first].before : snapshot.top.mark;
  if (mark != at->mark) return LossReason::epoch;
  return first;
}

ROOST_DECL RecoveryVerdict judge(const LogAnswer<ParcelPtr>& snapshot,
                                 const RecoveryRequest& request) {
  const auto& entries = snapshot.entries;
  RecoveryVerdict verdict{.ticket = request.ticket, .first = entries.size()};
  if (request.since) {
    const auto place = find_place(snapshot, *request.since);
    if (const auto* const first = std::get_if<std::size_t>(&place)) {
      verdict.is_recovered = true;
      verdict.position = *request.since;
      verdict.first = *first;
      return verdict;
    }
    verdict.lost = std::get<LossReason>(place);
  } else {
    verdict.first -= std::min(request.last, entries.size());
  }
  const bool is_at_end = verdict.first == entries.size();
  verdict.position =
      to_string(is_at_end ? snapshot.top
                          : Position{snapshot.top.epoch, entries[verdict.first].number - 1,
                                     entries[verdict.first].before});
  return verdict;
}

ROOST_DECL std::shared_ptr<LocalPresence> LocalHubState::make_presence(
    const boost::asio::any_io_executor& executor, const LocalBackplaneOptions& options) {
  if (!options.presence) return nullptr;
  const std::lock_guard lock(mutex_);
  return options.presence->make(executor, *options.clock, options.logger, options.channel,
                                presence_);
}

}  // namespace roost::detail
