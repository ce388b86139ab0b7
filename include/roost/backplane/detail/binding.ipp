// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"
#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/detail/binding.hpp"

namespace roost::detail {

ROOST_WHEN_USED boost::asio::awaitable<void> nothing_to_settle() { co_return; }

ROOST_WHEN_USED std::shared_ptr<BoundUsers> users_of(const BackplaneRef& backplane,
                                                     const BoundManager& manager) {
  auto presence = backplane.any().presence();
  if (!presence) return nullptr;
  return std::make_shared<BoundUsers>(std::move(presence), manager.id());
}

template <class Unused>
Binding<Unused>::Binding(BackplaneRef its_backplane,
                         std::shared_ptr<const BoundManager> its_manager)
    : backplane(std::move(its_backplane)),
      manager(std::move(its_manager)),
      history(backplane.any().history()),
      records(history ? std::make_shared<BoundRecords>(history, manager->id()) : nullptr),
      deliverer(std::make_shared<Deliverer>(manager)),
      users(users_of(backplane, *manager)),
      control(backplane.any().control()),
      routing_(backplane.any().room_routing()) {
  if (records) manager->ask_of(records);
  if (users) manager->observe_users(users);
  if (control) control->add(manager);
}

template <class Unused>
Binding<Unused>::~Binding() {
  for (const std::string& room : rooms_) leave(room);
  if (control) control->remove(*manager);
  if (!records) return;
  records->unbind();
  manager->drop_kept();
}

template <class Unused>
void Binding<Unused>::leave(const std::string& room) noexcept {
  if (records && records->keeps(room)) history->leave(room);
  if (routing_) routing_->leave(room);
}

template <class Unused>
void Binding<Unused>::on_room_opened(std::string_view name) {
  const bool is_recorded = records && records->keeps(name);
  if ((!routing_ && !is_recorded) || !rooms_.emplace(name).second) return;
  if (routing_) routing_->enter(name);
  if (is_recorded) history->enter(std::string(name));
}

template <class Unused>
void Binding<Unused>::on_room_closed(std::string_view name) noexcept {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  const std::string room = std::move(rooms_.extract(found).value());
  leave(room);
}

template <class Unused>
boost::asio::awaitable<void> Binding<Unused>::settled() {
  return routing_ ? routing_->settled() : nothing_to_settle();
}

ROOST_WHEN_USED_DEF std::shared_ptr<Binding<>> make_binding(
    BackplaneRef backplane, const std::shared_ptr<const BoundManager>& manager, RoomIndex& rooms) {
  if (rooms.is_observed_for(backplane.any().id())) throw Error(errc::already_bound);
  auto binding = std::make_shared<Binding<>>(std::move(backplane), manager);
  rooms.observe(binding);
  binding->subscription = binding->backplane.any().on_parcel(
      [to = binding->deliverer](const Parcel& parcel) { to->deliver(parcel); }, manager->id());
  return binding;
}

ROOST_DECL Frame frame_of(const WireMessage& wire) {
  return wire.kind == WireKind::bytes
             ? Frame::binary(std::as_bytes(std::span(wire.payload)), wire.key)
             : encode_text(wire.payload, wire.key);
}

ROOST_WHEN_USED_DEF void Deliverer::deliver(const Parcel& parcel) {
  if (const HistoryNews* const news = parcel.news()) return deliver_news(*news);
  OrSkipped<WireMessage> decoded = parcel.decode();
  if (const Skipped* skipped = std::get_if<Skipped>(&decoded)) {
    return manager_->warn("backplane_message_skipped", skipped->why);
  }
  WireMessage& wire = std::get<WireMessage>(decoded);
  if (wire.to.is_everyone && !manager_->allow_global) {
    return manager_->warn("backplane_message_dropped", "it names no room");
  }
  try {
    wire.to.check_names(manager_->max_room_name_bytes);
    Frame frame = frame_of(wire);
    if (parcel.position().empty()) {
      manager_->send(std::move(frame), std::move(wire.to), wire.manner);
    } else {
      manager_->deliver(std::make_shared<const Recorded>(parcel.recorded_room(), parcel.position(),
                                                         std::move(frame),
                                                         std::move(wire.to.exclude), wire.manner));
    }
  } catch (const Error& error) {
    manager_->warn("backplane_message_skipped", error.what());
  }
}

ROOST_WHEN_USED_DEF void Deliverer::deliver_news(const HistoryNews& news) {
  switch (news.kind) {
    case HistoryNews::Kind::answer: {
      auto answer = std::make_shared<RecoveryAnswer>();
      answer->room = news.room;
      answer->verdicts = news.verdicts;
      answer->messages.reserve(news.messages.size());
      for (const ParcelPtr& parcel : news.messages) answer->messages.push_back(recorded(*parcel));
      manager_->answer(std::move(answer));
      const auto is_for_all = [](const RecoveryVerdict& verdict) { return verdict.ticket == 0; };
      if (std::ranges::any_of(news.verdicts, is_for_all)) tell_lost(news.room);
      break;
    }
    case HistoryNews::Kind::lost:
      manager_->lose(news.room, news.position, news.why);
      tell_lost(news.room);
      break;
    case HistoryNews::Kind::restarted: manager_->restart(); break;
  }
}

ROOST_WHEN_USED_DEF RecordedPtr Deliverer::recorded(const Parcel& parcel) {
  std::weak_ptr<const Recorded>& known = shared_[parcel.recorded_room() + '\n' + parcel.position()];
  if (RecordedPtr recorded = known.lock()) return recorded;
  // A message that cannot be read keeps its place in the history: clients learn that they are past
  // it.
  OrSkipped<WireMessage> decoded = parcel.decode();
  WireMessage* const wire = std::get_if<WireMessage>(&decoded);
  auto recorded = std::make_shared<const Recorded>(
      parcel.recorded_room(), parcel.position(), wire ? frame_of(*wire) : Frame(),
      wire ? std::move(wire->to.exclude) : std::vector<std::string>(),
      wire ? wire->manner : Manner());
  known = recorded;
  if (shared_.size() > shared_limit_) {
    std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
    shared_limit_ = 2 * shared_.size() + 64;
  }
  return recorded;
}

ROOST_DECL void Deliverer::tell_lost(const std::string& room) const {
  for (const LostHook& hook : std::vector<LostHook>(lost_hooks_)) hook(room);
}

}  // namespace roost::detail
