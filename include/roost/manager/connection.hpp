// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <nlohmann/json.hpp>

#include "roost/base/clock.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/recovery.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

namespace detail {
template <class Ws>
struct FanOut;
}

/// One WebSocket that is registered with a `ConnectionManager`. `connect` and `session` make it,
/// always in a `shared_ptr`.
///
/// @par Lifetime       The application may keep a connection as long as it likes. Once the
///                     connection has ended, sends return false and receives throw
///                     `errc::connection_closed`.
/// @par Thread safety  `id`, `user` and `connected_at` may be called from any thread. Sends may be
///                     awaited on any executor. Call all other members on the manager's executor.
template <class Ws>
class Connection final : private detail::ConnectionParts<Ws>,
                         public std::enable_shared_from_this<Connection<Ws>> {
  struct Key {};  // only the manager can make connections

 public:
  /// @private Called by the manager.
  Connection(Key, std::weak_ptr<detail::ManagerState<Ws>> manager, std::string id,
             nlohmann::json metadata, Clock::time_point now, Overflow overflow)
      : detail::ConnectionParts<Ws>(overflow),
        manager_(std::move(manager)),
        id_(std::move(id)),
        metadata_(std::move(metadata)),
        connected_at_(now) {}

  /// Returns the id, which is unique among the registered connections of the manager.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }

  /// Returns the user that the connection belongs to: `ConnectOptions::user`, or the id.
  [[nodiscard]] const std::string& user() const noexcept {
    const detail::ConnectionUser* const user = detail::ConnectionParts<Ws>::user.get();
    return user ? user->name : id_;
  }

  /// Returns the application's data about this connection, for changes. roost does not read it.
  [[nodiscard]] nlohmann::json& metadata() { return made_metadata(); }
  /// Returns the application's data about this connection, read-only.
  [[nodiscard]] const nlohmann::json& metadata() const { return made_metadata(); }

  /// Returns the rooms that the connection is in, sorted; once it has ended, the rooms that it was
  /// in.
  [[nodiscard]] std::vector<std::string> rooms() const;
  /// Returns whether the connection is in @p room now.
  [[nodiscard]] bool is_in(std::string_view room) const noexcept {
    return detail::RoomIndex::contains(*this, room);
  }

  /// Returns whether the connection is registered.
  [[nodiscard]] bool is_connected() const noexcept { return this->is_attached(); }
  /// Returns how the connection ended; nothing while it is registered.
  [[nodiscard]] const std::optional<Disconnect>& ended() const noexcept {
    return this->departure.how;
  }
  /// Returns when the connection was registered.
  [[nodiscard]] Clock::time_point connected_at() const noexcept { return connected_at_; }
  /// Returns when the peer was last heard from, at first when it connected. Any frame counts if the
  /// socket has `last_activity`; otherwise messages received through the manager, pongs and
  /// `HeartbeatMonitor::touch` count. While a message that the socket has read waits to be
  /// received, the result is the current time.
  [[nodiscard]] Clock::time_point last_activity() const noexcept {
    return std::max(connected_at_, this->last_heard_of());
  }
  /// Returns the round trip time of the last ping of a `HeartbeatMonitor` that the peer answered
  /// before the next ping; nothing if there is none yet, or if the socket has no pings.
  [[nodiscard]] std::optional<Clock::duration> round_trip_time() const noexcept {
    return this->liveness().round_trip_time();
  }
  /// Returns which earlier messages to @p room the connection gets because of `resume`, `since` or
  /// `last` in `ConnectOptions` or `JoinOptions`; nothing if it did not ask for any. The result is
  /// known once `connect` or `join` has returned.
  [[nodiscard]] std::optional<Recovery> recovery(std::string_view room) const {
    const detail::Replays* const replays = this->replays();
    const Recovery* const recovery = replays ? replays->recovery(room) : nullptr;
    return recovery ? std::optional(*recovery) : std::nullopt;
  }
  /// Returns the socket; null once the connection has ended.
  [[nodiscard]] const std::shared_ptr<Ws>& websocket() const noexcept { return this->socket(); }

  /// Sends a text message to this connection, as `ConnectionManager::send_to` does, but never to
  /// another connection that has taken over its id.
  /// @returns false if a drop policy kept the message from the connection, the send failed, or the
  ///          connection or its manager is gone
  boost::asio::awaitable<bool> send_text(std::string_view text, SendOptions options = {});
  /// Sends a binary message to this connection; see `send_text`.
  boost::asio::awaitable<bool> send_bytes(std::span<const std::byte> bytes,
                                          SendOptions options = {});
  /// Sends @p json, serialised, as a text message to this connection; see `send_text`.
  template <std::same_as<nlohmann::json> Json>
  boost::asio::awaitable<bool> send_json(const Json& json, SendOptions options = {}) {
    return send(detail::encode_json(json, options.key.value_or("")), options);
  }

 private:
  friend struct detail::ConnectionAccess;

  boost::asio::awaitable<bool> send(Frame frame, const SendOptions& options);

  nlohmann::json& made_metadata() const {
    if (metadata_.is_discarded()) metadata_ = nlohmann::json::object();
    return metadata_;
  }

  const std::weak_ptr<detail::ManagerState<Ws>> manager_;
  const std::string id_;
  mutable nlohmann::json metadata_;  // discarded: an empty object, made when it is asked for
  const Clock::time_point connected_at_;
};

template <class Ws>
std::vector<std::string> Connection<Ws>::rooms() const {
  return ended() ? this->departure.rooms : detail::RoomIndex::rooms_of(*this);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send_text(std::string_view text, SendOptions options) {
  return send(detail::encode_text(text, options.key.value_or("")), options);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send_bytes(std::span<const std::byte> bytes,
                                                        SendOptions options) {
  return send(Frame::binary(bytes, options.key.value_or("")), options);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send(Frame frame, const SendOptions& options) {
  return detail::FanOut<Ws>::send_to(manager_.lock(), this->shared_from_this(), std::move(frame),
                                     options);
}

}  // namespace roost

#include "roost/manager/sending/fan_out.hpp"
