// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/lifecycle/drain.hpp"

// Defined outside the class, so that an `extern template` declaration keeps it from being compiled.

namespace roost {

namespace detail {

template <class Ws>
void require_socket(const std::shared_ptr<Ws>& socket) {
  if (!socket) throw Error(errc::not_connected, "the socket is null");
}

template <class Ws>
void add_room_hook(ManagerState<Ws>& state, HookKind kind,
                   typename ConnectionManager<Ws>::RoomHook hook) {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  state.hooks().add(
      kind, std::move(hook), [](const ConnectionPtr& connection, const HookEvent& event) {
        return std::tuple<const ConnectionPtr&, std::string_view>(connection, event.room);
      });
}

}  // namespace detail

template <WebSocketLike Ws>
ConnectionManager<Ws>::ConnectionManager(boost::asio::any_io_executor executor, Options options)
    : state_(std::make_shared<detail::ManagerState<Ws>>(std::move(executor), std::move(options))) {
  state_->begin();
}

template <WebSocketLike Ws>
ConnectionManager<Ws>::~ConnectionManager() {
  state_->stop();
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::get_executor() const noexcept -> const boost::asio::any_io_executor& {
  return state_->executor();
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::options() const noexcept -> const Options& {
  return state_->options();
}

// --- connecting ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::connect(std::shared_ptr<Ws> socket, ConnectOptions options)
    -> awaitable<ConnectionPtr> {
  using Admission = detail::Admission<Ws>;
  detail::require_socket(socket);
  return detail::on_executor(
      state_->executor(), Admission::connect(state_, std::move(socket),
                                             detail::admission_request(
                                                 options, state_->options().max_room_name_bytes)));
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::run_session(std::shared_ptr<Ws> socket, const ConnectOptions& options,
                                        std::unique_ptr<SessionHandler> handler)
    -> awaitable<SessionOutcome> {
  using Session = detail::Session<Ws>;
  detail::require_socket(socket);
  try {
    auto request = detail::admission_request(options, state_->options().max_room_name_bytes);
    return Session::serve(state_,
                          Session::enter(state_, socket, std::move(request), std::move(handler)));
  } catch (const Error& error) {
    // The names may come from the peer, so the socket is closed with a code although the session
    // cannot begin.
    detail::Closing<Ws>::close_in_background(state_, socket, close_code::policy_violation,
                                             error.code().message());
    throw;
  }
}

// --- disconnecting ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::disconnect(std::string_view id) -> awaitable<bool> {
  return close(id, close_code::normal);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::close(std::string_view id, std::uint16_t code, std::string_view reason)
    -> awaitable<bool> {
  return detail::on_executor(state_->executor(),
                             detail::close_one(state_, std::string(id), code, std::string(reason)));
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::close_all(std::uint16_t code, CloseAllOptions options)
    -> awaitable<std::size_t> {
  detail::check_wait(options.deadline, "deadline");
  return detail::on_executor(state_->executor(), detail::close_all(state_, code, options.deadline));
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::drain(DrainOptions options) -> awaitable<DrainReport> {
  detail::validate(options);
  return detail::on_executor(state_->executor(), detail::Drain<Ws>::await_drain(state_, options));
}

template <WebSocketLike Ws>
bool ConnectionManager<Ws>::is_draining() const noexcept {
  return !state_->gate()->is_open();
}

// --- hooks ---

template <WebSocketLike Ws>
void ConnectionManager<Ws>::on_connected(ConnectionHook hook) {
  state_->hooks().add(detail::HookKind::connected, std::move(hook),
                      [](const ConnectionPtr& connection, const detail::HookEvent&) {
                        return std::forward_as_tuple(connection);
                      });
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::on_joined(RoomHook hook) {
  detail::add_room_hook<Ws>(*state_, detail::HookKind::joined, std::move(hook));
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::on_left(RoomHook hook) {
  detail::add_room_hook<Ws>(*state_, detail::HookKind::left, std::move(hook));
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::on_disconnect(DisconnectHook hook) {
  state_->hooks().add(detail::HookKind::disconnected, std::move(hook),
                      [](const ConnectionPtr& connection, const detail::HookEvent&) {
                        return std::forward_as_tuple(connection, *connection->ended());
                      });
}

// --- rooms ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::join(std::string_view id, std::string_view room, JoinOptions options)
    -> awaitable<bool> {
  using Admission = detail::Admission<Ws>;
  return detail::on_executor(
      state_->executor(),
      Admission::join_by_id(state_, std::string(id), Admission::request(*state_, room, options)));
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::join(Connection<Ws>& connection, std::string_view room,
                                 JoinOptions options) -> awaitable<bool> {
  using Admission = detail::Admission<Ws>;
  return detail::on_executor(state_->executor(),
                             Admission::join(state_, connection.shared_from_this(),
                                             Admission::request(*state_, room, options)));
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::leave(std::string_view id, std::string_view room) -> awaitable<bool> {
  return detail::on_executor(state_->executor(), detail::Admission<Ws>::leave_by_id(
                                                     state_, std::string(id), std::string(room)));
}

// --- sending ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::broadcast(Frame frame, const BroadcastOptions& options)
    -> awaitable<std::size_t> {
  return FanOut::broadcast(state_, std::move(frame), options);
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::post(Frame frame, const BroadcastOptions& options) {
  FanOut::post(state_, std::move(frame), options);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::send(std::string_view id, Frame frame, const SendOptions& options)
    -> awaitable<bool> {
  return FanOut::send_to(state_, id, std::move(frame), options);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::broadcast_text(std::string_view text, BroadcastOptions options)
    -> awaitable<std::size_t> {
  return FanOut::broadcast(state_, detail::encode_text(text, key_of(options)), options);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::broadcast_bytes(std::span<const std::byte> bytes,
                                            BroadcastOptions options) -> awaitable<std::size_t> {
  return FanOut::broadcast(state_, Frame::binary(bytes, key_of(options)), options);
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::post_text(std::string_view text, BroadcastOptions options) {
  FanOut::post(state_, detail::encode_text(text, key_of(options)), options);
}

template <WebSocketLike Ws>
void ConnectionManager<Ws>::post_bytes(std::span<const std::byte> bytes, BroadcastOptions options) {
  FanOut::post(state_, Frame::binary(bytes, key_of(options)), options);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::send_to(std::string_view id, std::span<const std::byte> bytes,
                                    SendOptions options) -> awaitable<bool> {
  return FanOut::send_to(state_, id, Frame::binary(bytes, key_of(options)), options);
}

// --- receiving ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::receive(Connection<Ws>& connection,
                                    std::optional<std::size_t> max_bytes) -> awaitable<Message>
  requires ReceivingWebSocket<Ws>
{
  using Receiving = detail::Receiving<Ws>;
  return Receiving::receive_as(
      state_, connection.shared_from_this(), Receiving::Kind::any, max_bytes,
      +[](Message message) { return message; });
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::receive_text(Connection<Ws>& connection,
                                         std::optional<std::size_t> max_bytes)
    -> awaitable<std::string>
  requires ReceivingWebSocket<Ws>
{
  using Receiving = detail::Receiving<Ws>;
  return Receiving::receive_as(
      state_, connection.shared_from_this(), Receiving::Kind::text, max_bytes,
      +[](Message message) { return std::move(message.payload); });
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::receive_bytes(Connection<Ws>& connection,
                                          std::optional<std::size_t> max_bytes)
    -> awaitable<std::vector<std::byte>>
  requires ReceivesMessages<Ws>
{
  using Receiving = detail::Receiving<Ws>;
  return Receiving::receive_as(
      state_, connection.shared_from_this(), Receiving::Kind::binary, max_bytes,
      +[](Message message) {
        return std::vector<std::byte>(message.bytes().begin(), message.bytes().end());
      });
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::receive_json(Connection<Ws>& connection,
                                         std::optional<std::size_t> max_bytes)
    -> awaitable<nlohmann::json>
  requires ReceivingWebSocket<Ws>
{
  using Receiving = detail::Receiving<Ws>;
  return Receiving::receive_as(
      state_, connection.shared_from_this(), Receiving::Kind::text, max_bytes,
      +[](Message message) { return detail::decode_json(message.text()); });
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::next_text(Connection<Ws>& connection)
    -> awaitable<std::optional<std::string>>
  requires ReceivingWebSocket<Ws>
{
  using Receiving = detail::Receiving<Ws>;
  using Text = std::optional<std::string>;
  return Receiving::template receive_as<Text>(
      state_, connection.shared_from_this(), Receiving::Kind::text, {},
      [](Message message) { return Text(std::move(message.payload)); }, [] { return Text(); });
}

// --- looking up ---

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::find(std::string_view id) const -> ConnectionPtr {
  return state_->registry().find(id);
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::connections_of(std::string_view user) const
    -> std::vector<ConnectionPtr> {
  return state_->registry().connections_of(user);
}

template <WebSocketLike Ws>
std::size_t ConnectionManager<Ws>::total_connections() const noexcept {
  return state_->registry().everyone().size();
}

template <WebSocketLike Ws>
std::size_t ConnectionManager<Ws>::room_size(std::string_view room) const noexcept {
  return state_->rooms().members(room).size();
}

template <WebSocketLike Ws>
std::vector<std::string> ConnectionManager<Ws>::list_rooms() const {
  return state_->rooms().list();
}

template <WebSocketLike Ws>
auto ConnectionManager<Ws>::members(std::string_view room) const -> std::vector<ConnectionPtr> {
  return state_->registry().members(room);
}

template <WebSocketLike Ws>
Stats ConnectionManager<Ws>::stats() const {
  return state_->stats();
}

}  // namespace roost
