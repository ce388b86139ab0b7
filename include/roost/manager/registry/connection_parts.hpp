// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include "roost/access/rate_limit.hpp"
#include "roost/base/build/config.hpp"
#include "roost/manager/lifecycle/hooks.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/sending/recipient.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost::detail {

/// The user that a connection belongs to, and what others may know about the user.
struct ConnectionUser {
  static constexpr std::size_t not_indexed = std::numeric_limits<std::size_t>::max();

  std::string name;
  std::string info;                    ///< JSON; empty: none.
  std::size_t position = not_indexed;  ///< Used by the `Registry`: index in its list.
};

/// `ConnectOptions` that owns its values.
struct AdmissionRequest {
  std::string id;
  nlohmann::json metadata;  ///< Discarded: an empty object, see `Connection`.
  ShortList<std::string> rooms;
  OnDuplicate on_duplicate;
  Overflow overflow;
  std::optional<std::string> resume = {};  ///< Set: the client wants positions.
  std::size_t last = 0;
  std::unique_ptr<ConnectionUser> user = {};  ///< Null: the id is the user.
};

/// Checks the arguments of a call before anything is awaited.
/// @par Errors  `errc::invalid_connection_id`, `invalid_user`, `invalid_json`, `invalid_room_name`.
ROOST_WHEN_USED [[nodiscard]] AdmissionRequest admission_request(const ConnectOptions& options,
                                                                 std::size_t max_room_name_bytes);

/// How to end the transport of a connection.
enum class Ending {
  close,  ///< A close handshake with a deadline, then abort.
  abort,  ///< Immediately: the peer does not read, or is gone.
};

/// The state that the parts of a manager keep in each connection. Each part changes only its own;
/// all may read all of it.
template <class Ws>
class ConnectionParts : public Recipient<Ws> {
 public:
  explicit ConnectionParts(Overflow overflow) noexcept : Recipient<Ws>(overflow) {}

  static constexpr std::size_t not_watched = std::numeric_limits<std::size_t>::max();
  std::size_t watch_position = not_watched;  ///< Used by `SlowPeers`: index in its list.
  [[nodiscard]] bool is_watched() const noexcept { return watch_position != not_watched; }

  std::size_t position = 0;  ///< Used by the `Registry`: index in its list.

  std::unique_ptr<ConnectionUser> user;  ///< Null: the id of the connection is its user.

  /// Used by `Receiving`.
  struct Inbound {
    TokenBucket messages;
    TokenBucket bytes;
    bool has_received = false;
    bool is_receiving = false;
  };
  Inbound inbound;

  HookProgress hooks;  ///< Used by `Hooks`.

  std::shared_ptr<Child<void>> handler;  ///< The running handler of the `Session`, or null.

  /// How the connection ended, and what has happened since.
  struct Departure {
    std::optional<Disconnect> how;
    std::vector<std::string> rooms;  ///< The rooms that it was in.
    bool is_closed = false;          ///< The transport has ended.
    bool was_aborted = false;        ///< The transport was aborted: it did not close in time.
  };
  Departure departure;

  WaitList changed;  ///< Notified when a hook has run, the handler has ended, or `departure` has
                     ///< changed.

 protected:
  ~ConnectionParts() = default;
};

/// Converts between a connection and its parts.
struct ConnectionAccess {
  template <class Ws, class... Arguments>
  static std::shared_ptr<Connection<Ws>> make(Arguments&&... arguments) {
    return std::make_shared<Connection<Ws>>(typename Connection<Ws>::Key{},
                                            std::forward<Arguments>(arguments)...);
  }
  template <class Ws>
  static ConnectionParts<Ws>& parts(Connection<Ws>& connection) noexcept {
    return connection;
  }
  template <class Ws>
  static const ConnectionParts<Ws>& parts(const Connection<Ws>& connection) noexcept {
    return connection;
  }
  template <class Ws>
  static Connection<Ws>& owner(ConnectionParts<Ws>& parts) noexcept {
    return static_cast<Connection<Ws>&>(parts);
  }
};

template <class Ws>
[[nodiscard]] ConnectionParts<Ws>& parts_of(Connection<Ws>& connection) noexcept {
  return ConnectionAccess::parts(connection);
}
template <class Ws>
[[nodiscard]] const ConnectionParts<Ws>& parts_of(const Connection<Ws>& connection) noexcept {
  return ConnectionAccess::parts(connection);
}
template <class Ws>
[[nodiscard]] Connection<Ws>& owner_of(ConnectionParts<Ws>& parts) noexcept {
  return ConnectionAccess::owner(parts);
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/registry/connection_parts.ipp"
#endif
