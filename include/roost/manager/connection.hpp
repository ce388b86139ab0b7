// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/socket/detail/encode.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

/// One WebSocket known to one `ConnectionManager`. Made by `connect`, always in a `shared_ptr`.
///
/// @par Lifetime       May be kept for ever: on a connection that has ended, sends are false and
///                     receives throw `errc::connection_closed`.
/// @par Thread safety  `id` and `connected_at` from any thread, sends may be awaited from any
///                     executor; the rest on the manager's executor only.
template <class Ws>
class Connection final : private detail::ConnectionParts<Ws>,
                         public std::enable_shared_from_this<Connection<Ws>> {
  struct Key {};  // only the manager makes connections

 public:
  /// @private For the manager.
  Connection(Key, std::weak_ptr<detail::ManagerState<Ws>> manager, std::string id,
             nlohmann::json metadata, Clock::time_point now, Overflow overflow)
      : detail::ConnectionParts<Ws>(overflow),
        manager_(std::move(manager)),
        id_(std::move(id)),
        metadata_(std::move(metadata)),
        connected_at_(now) {}

  /// Unique among the connections of its manager.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }

  /// What the application knows about this connection; roost never looks at it.
  [[nodiscard]] nlohmann::json& metadata() noexcept { return metadata_; }
  /// The same, to read only.
  [[nodiscard]] const nlohmann::json& metadata() const noexcept { return metadata_; }

  /// The rooms it is in, sorted; once it has ended, those it was in.
  [[nodiscard]] std::vector<std::string> rooms() const;
  /// Whether it is in @p room now.
  [[nodiscard]] bool is_in(std::string_view room) const noexcept {
    return detail::RoomIndex::contains(*this, room);
  }

  /// Whether it is registered.
  [[nodiscard]] bool is_connected() const noexcept { return this->is_attached(); }
  /// How it ended; nothing while it is registered.
  [[nodiscard]] const std::optional<Disconnect>& ended() const noexcept {
    return this->departure.how;
  }
  /// When it was registered.
  [[nodiscard]] Clock::time_point connected_at() const noexcept { return connected_at_; }
  /// When it was last heard of: by any frame if the socket tells (`last_activity`), else by a
  /// message that was received through the manager, a pong, or `HeartbeatMonitor::touch`; at first
  /// when it connected. Now, while a message that its socket has read waits to be taken.
  [[nodiscard]] Clock::time_point last_activity() const noexcept {
    return std::max(connected_at_, this->last_heard_of());
  }
  /// How long the peer took to answer the last ping of a `HeartbeatMonitor` that it answered before
  /// the next one; nothing until then, or if the socket has no pings.
  [[nodiscard]] std::optional<Clock::duration> round_trip_time() const noexcept {
    return this->liveness().round_trip_time();
  }
  /// Its socket; null once it has ended.
  [[nodiscard]] const std::shared_ptr<Ws>& websocket() const noexcept { return this->socket(); }

  /// Like `ConnectionManager::send_to`, and for this very connection, not for whoever has its id.
  /// @returns false also once the connection has ended, or its manager.
  boost::asio::awaitable<bool> send_text(std::string_view text, SendOptions options = {});
  /// The same for a binary message.
  boost::asio::awaitable<bool> send_bytes(std::span<const std::byte> bytes,
                                          SendOptions options = {});
  /// The same for a text message: @p json, serialised.
  template <std::same_as<nlohmann::json> Json>
  boost::asio::awaitable<bool> send_json(const Json& json, SendOptions options = {}) {
    return send(detail::encode_json(json, options.key.value_or("")), options);
  }

 private:
  friend struct detail::ConnectionAccess;

  boost::asio::awaitable<bool> send(Frame frame, const SendOptions& options);

  const std::weak_ptr<detail::ManagerState<Ws>> manager_;
  const std::string id_;
  nlohmann::json metadata_;
  const Clock::time_point connected_at_;
};

}  // namespace roost

#include "roost/manager/connection.ipp"
