// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/delivery/binding.hpp"

namespace roost::detail {

ROOST_WHEN_USED boost::asio::awaitable<void> nothing_to_settle() { co_return; }

ROOST_WHEN_USED std::shared_ptr<BoundUsers> users_of(const BackplaneRef& backplane,
                                                     const BoundManager& manager) {
  auto presence = backplane.any().presence();
  if (!presence) return nullptr;
  return std::make_shared<BoundUsers>(std::move(presence), manager.id());
}

template <class Unused>
Binding<Unused>::Binding(BackplaneRef backplane, std::shared_ptr<const BoundManager> manager)
    : backplane_(std::move(backplane)),
      manager_(std::move(manager)),
      history_(backplane_.any().history()),
      records_(history_ ? std::make_shared<BoundRecords>(history_, manager_->id()) : nullptr),
      deliverer_(std::make_shared<Deliverer>(manager_)),
      users_(users_of(backplane_, *manager_)),
      control_(backplane_.any().control()),
      routing_(backplane_.any().room_routing()) {
  if (records_) manager_->ask_of(records_);
  if (users_) manager_->observe_users(users_);
  if (control_) control_->add(manager_);
}

template <class Unused>
Binding<Unused>::~Binding() {
  for (const std::string& room : rooms_) leave(room);
  if (control_) control_->remove(*manager_);
  if (!records_) return;
  records_->unbind();
  manager_->drop_kept();
}

template <class Unused>
void Binding<Unused>::subscribe() {
  subscription_ = backplane_.any().on_parcel(
      [to = deliverer_](const Parcel& parcel) { to->deliver(parcel); }, manager_->id());
}

ROOST_WHEN_USED_DEF std::shared_ptr<ClusterBinding> make_binding(
    BackplaneRef backplane, const std::shared_ptr<const BoundManager>& manager, RoomIndex& rooms) {
  if (rooms.is_observed_for(backplane.any().id())) throw Error(errc::already_bound);
  auto binding = std::make_shared<Binding<>>(std::move(backplane), manager);
  rooms.observe(binding);
  binding->subscribe();
  return binding;
}

// --- for the manager ---

template <class Unused>
void Binding<Unused>::leave(const std::string& room) noexcept {
  if (records_ && records_->keeps(room)) history_->leave(room);
  if (routing_) routing_->leave(room);
}

template <class Unused>
void Binding<Unused>::on_room_opened(std::string_view name) {
  const bool is_recorded = records_ && records_->keeps(name);
  if ((!routing_ && !is_recorded) || !rooms_.emplace(name).second) return;
  if (routing_) routing_->enter(name);
  if (is_recorded) history_->enter(std::string(name));
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

// --- for the `Cluster`: messages ---

template <class Unused>
boost::asio::awaitable<Published> Binding<Unused>::publish(WireKind kind, std::string_view payload,
                                                           const BroadcastOptions& options) const {
  Audience to = audience(options);
  const Manner how = manner(options);
  const std::string_view key = options.key.value_or("");
  if (!to.is_everyone && to.rooms.empty()) return nobody();
  const bool is_bytes = kind == WireKind::bytes;
  const auto bytes = std::as_bytes(std::span(payload));
  OutgoingMessage message = is_bytes ? encode_wire(kind, base64_encode(bytes), to, how, key)
                                     : encode_wire(kind, payload, to, how, key);
  const AnyBackplane& backplane = backplane_.any();
  message.is_recorded = is_recorded(to, options);
  // All members get a recorded message in the order of the history, also the members here.
  if (backplane.skips_origin() && !message.is_recorded) message.origin = manager_->id();
  const bool is_direct = message.origin != nullptr;
  awaitable<Published> elsewhere = backplane.publish_wire(std::move(message));
  if (!is_direct) return elsewhere;
  return publish_both(manager_, is_bytes ? Frame::binary(bytes, key) : Frame::text(payload, key),
                      std::move(to), how, std::move(elsewhere));
}

template <class Unused>
Audience Binding<Unused>::audience(const BroadcastOptions& options) const {
  Audience to = Audience::of(options, manager_->max_room_name_bytes);
  if (to.is_everyone && !manager_->allow_global) {
    throw Error(errc::room_required, "the manager is bound without allow_global");
  }
  auto end = to.rooms.begin();  // of the rooms named for the first time
  for (auto room = to.rooms.begin(); room != to.rooms.end(); ++room) {
    if (std::find(to.rooms.begin(), end, *room) == end) std::swap(*end++, *room);
  }
  to.rooms.erase(end, to.rooms.end());
  // An id that is not UTF-8 belongs to no connection, and would not fit into JSON.
  std::erase_if(to.exclude, [](const auto& id) { return !is_utf8(id); });
  return to;
}

template <class Unused>
Manner Binding<Unused>::manner(const BroadcastOptions& options) {
  const Manner manner = Manner::of(options);
  check_option(!options.report, "report must be null: a Cluster cannot fill it");
  check_option(!options.key || is_utf8(*options.key), "key must be UTF-8");
  return manner;
}

template <class Unused>
bool Binding<Unused>::is_recorded(const Audience& to, const BroadcastOptions& options) const {
  if (options.record == false) return false;
  const auto keeps = [&](const std::string& room) { return records_ && records_->keeps(room); };
  const bool must = options.record.has_value();
  check_option(!must || !options.key, "record must not be true with a key");
  if (options.key || std::none_of(to.rooms.begin(), to.rooms.end(), keeps)) {
    check_option(!must, "record must not be true: no HistoryRule matches the room");
    return false;
  }
  if (to.rooms.size() == 1) return true;
  throw Error(errc::one_room_only,
              "a union of rooms, of which one is recorded, needs .record = false");
}

template <class Unused>
boost::asio::awaitable<Published> Binding<Unused>::publish_both(
    std::shared_ptr<const BoundManager> manager, Frame frame, Audience to, Manner manner,
    awaitable<Published> elsewhere) {
  const bool is_sent = manager->send(std::move(frame), std::move(to), manner);
  Published published = co_await std::move(elsewhere);
  if (is_sent) ++published.local;
  co_return published;
}

template <class Unused>
boost::asio::awaitable<Published> Binding<Unused>::nobody() {
  co_return Published{.receivers = 0};
}

// --- for the `Cluster`: histories and presence ---

template <class Unused>
boost::asio::awaitable<void> Binding<Unused>::forget(std::string_view room) const {
  validate_room_name(room, manager_->max_room_name_bytes);
  check_option(records_ && records_->keeps(room), "room must be one that a HistoryRule matches");
  return history_->forget(std::string(room));
}

template <class Unused>
void Binding<Unused>::on_lost(std::function<void(std::string_view room)> hook) const {
  check_option(static_cast<bool>(hook), "hook must not be empty");
  deliverer_->on_lost(std::move(hook));
}

template <class Unused>
void Binding<Unused>::on_presence(std::function<void(const PresenceChange&)> hook) const {
  if (!users_) throw Error(errc::not_listed, "the backplane has no presence");
  check_option(static_cast<bool>(hook), "hook must not be empty");
  users_->presence->on_change(std::move(hook));
}

template <class Unused>
boost::asio::awaitable<Presence> Binding<Unused>::present(std::string_view room) const {
  return presence_of(room).present(std::string(room));
}

template <class Unused>
boost::asio::awaitable<std::size_t> Binding<Unused>::present_count(std::string_view room) const {
  return presence_of(room).count(std::string(room));
}

template <class Unused>
BackplanePresence& Binding<Unused>::presence_of(std::string_view room) const {
  validate_room_name(room, manager_->max_room_name_bytes);
  if (users_ && users_->presence->lists(room)) return *users_->presence;
  throw Error(errc::not_listed, "room \"" + escape_for_log(room) + '"');
}

// --- for the `Cluster`: the other replicas ---

ROOST_DECL void check_control_name(std::string_view name, const char* what) {
  check_option(!name.empty() && name.size() <= max_question_name && is_utf8(name), what);
}

ROOST_DECL void check_question_name(std::string_view name) {
  check_control_name(name, "name must be UTF-8 of 1 to 255 bytes");
  check_option(!name.starts_with("roost:"), "name must not begin with roost:");
}

ROOST_DECL void check_ask_timeout(Clock::duration timeout) {
  check_option(timeout > Clock::duration::zero() && timeout <= std::chrono::minutes(1),
               "timeout must be above 0 and at most a minute");
}

template <class Unused>
const std::shared_ptr<ControlDesk>& Binding<Unused>::desk() const {
  if (control_) return control_;
  throw Error(errc::not_supported, "the backplane has no registry of its replicas");
}

template <class Unused>
boost::asio::any_io_executor Binding<Unused>::executor() const {
  boost::asio::any_io_executor executor = desk()->line().executor();
  if (!executor) throw Error(errc::backplane_unavailable, "the backplane is gone");
  return executor;
}

template <class Unused>
std::vector<ReplicaInfo> Binding<Unused>::replicas() const {
  return desk()->line().replicas();
}

template <class Unused>
boost::asio::awaitable<Survey> Binding<Unused>::ask(std::string_view name,
                                                    const nlohmann::json& question,
                                                    AskOptions options) const {
  const std::shared_ptr<ControlDesk>& its_desk = desk();
  check_question_name(name);
  check_ask_timeout(options.timeout);
  const std::string text = dump_json(question, max_json_depth - 1);
  if (text.size() > max_control_body) {
    throw Error(errc::message_too_big, "a question of " + std::to_string(text.size()) +
                                           " bytes as JSON, at most 64000 are allowed");
  }
  return on_executor(executor(),
                     ControlDesk::ask(its_desk, std::string(name), question, options.timeout));
}

template <class Unused>
void Binding<Unused>::on_ask(std::string_view name,
                             std::function<nlohmann::json(const nlohmann::json&)> hook) const {
  const auto& its_desk = desk();
  check_question_name(name);
  check_option(static_cast<bool>(hook), "hook must not be empty");
  its_desk->on_ask(std::string(name), std::move(hook));
}

template <class Unused>
boost::asio::awaitable<Reached> Binding<Unused>::order(ControlOrder order, Target target,
                                                       std::string_view room,
                                                       Clock::duration timeout) const {
  const std::shared_ptr<ControlDesk>& its_desk = desk();
  if (order.kind != ControlOrder::Kind::disconnect) {
    validate_room_name(room, manager_->max_room_name_bytes);
  }
  if (target.kind() == Target::Kind::room) {
    validate_room_name(target.name(), manager_->max_room_name_bytes);
  } else {
    check_control_name(target.name(), "target must be UTF-8 of 1 to 255 bytes");
  }
  check_ask_timeout(timeout);
  order.to = target.kind();
  order.name = target.name();
  order.room = room;
  return on_executor(executor(), ControlDesk::order(its_desk, std::move(order), timeout));
}

// --- messages from the backplane ---

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
