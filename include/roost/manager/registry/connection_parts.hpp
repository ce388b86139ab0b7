// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "roost/access/rate_limit.hpp"
#include "roost/manager/lifecycle/hooks.hpp"
#include "roost/manager/sending/recipient.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/overflow.hpp"

namespace roost::detail {

/// How the transport of a connection is ended.
enum class Ending {
  close,  ///< A close handshake with a deadline, then abort.
  abort,  ///< Now: the peer does not take bytes any more, or is not there.
};

/// What the parts of a manager keep in each connection. Each changes its own; all may look.
template <class Ws>
class ConnectionParts : public Recipient<Ws> {
 public:
  explicit ConnectionParts(Overflow overflow) noexcept : Recipient<Ws>(overflow) {}

  static constexpr std::size_t not_watched = std::numeric_limits<std::size_t>::max();
  std::size_t watch_position = not_watched;  ///< `Congestion`'s: among those that it watches.
  [[nodiscard]] bool is_watched() const noexcept { return watch_position != not_watched; }

  std::size_t position = 0;  ///< The `Registry`'s: among all.

  /// What `Receiving` keeps.
  struct Inbound {
    TokenBucket messages;
    TokenBucket bytes;
    bool has_received = false;
    bool is_receiving = false;
  };
  Inbound inbound;

  HookProgress hooks;  ///< That of `Hooks`.

  std::shared_ptr<Child<void>> handler;  ///< The one of the `Session`; null where none runs.

  /// How the connection left, and what happens after that.
  struct Departure {
    std::optional<Disconnect> how;
    std::vector<std::string> rooms;  ///< Those that it was in.
    bool is_closed = false;          ///< The transport has ended,
    bool was_aborted = false;        ///< because it did not close in time.
  };
  Departure departure;

  WaitList changed;  ///< The hooks have been told, the handler has ended, or `departure` is new.

 protected:
  ~ConnectionParts() = default;
};

/// The one way from a connection to its parts, and back.
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
