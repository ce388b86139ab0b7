// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/binding.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/options.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost {

class Cluster;

/// How a manager is bound to a backplane.
struct BindOptions {
  /// Whether messages may be for everyone. If not, those without a room are refused here, and
  /// dropped with a warning when they come from others.
  bool allow_global = false;
};

/// Delivers what comes over @p backplane to the connections of @p manager, until the handle is
/// unbound or destroyed.
///
/// Nobody on the backplane waits for a socket: frames for the congested queue as with `post_*`.
/// What cannot be delivered is skipped with a warning in the manager's log.
///
/// What a peer may send must fit the backplane when it is sent on: a byte of text can take six on
/// the wire. So the backplane's `max_message_bytes` must be at least six times that of the manager
/// and 4096; the defaults of both fit. A manager without a limit is not compared: what is too large
/// for the backplane is `errc::message_too_big` when it is sent.
///
/// Two `RedisBackplane`s of one channel are two replicas: a manager that is bound to both gets each
/// message twice.
/// @par Errors         `errc::already_bound`; `invalid_option` for `allow_global` with a manager
///                     that requires a room, and for a backplane whose `max_message_bytes` is too
///                     small for the manager's; `backplane_unavailable` for an empty reference.
/// @par Thread safety  On the manager's executor, or while nothing runs it.
/// @par Lifetime       Handle, manager, backplane and `io_context` may go in any order. Where the
///                     two live on different threads, unbind before the manager's `io_context`
///                     goes.
template <class Ws>
[[nodiscard]] Cluster bind_manager(BackplaneRef backplane, ConnectionManager<Ws>& manager,
                                   BindOptions options = {});

/// A manager bound to a backplane: what it sends reaches the connections of every replica, this
/// one's included, each once. Made by `bind_manager`; unbinds when destroyed.
///
/// The manager's own connections come first: they get a message when the call is awaited, without
/// the backplane, whether that has started or not, in the order of the calls. On another executor
/// it is posted to the manager's. (A backplane of your own, which has the calls of the concept
/// `Backplane` only, has to bring it to them like to everybody.)
///
/// @par Thread safety  One handle is for one thread at a time, whichever that is if the backplane's
///                     `publish` may be called from there.
/// @par Arguments      consumed before a call returns.
/// @par Lifetime       May outlive manager and backplane; but for sending, a backplane that was
///                     bound by reference must still be there.
class [[nodiscard]] Cluster {
 public:
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Bound to nothing.
  Cluster() noexcept = default;
  /// Takes the binding over; @p other is bound to nothing.
  Cluster(Cluster&& other) noexcept = default;
  /// The same, after it has unbound its own.
  Cluster& operator=(Cluster&& other) noexcept;
  ~Cluster() { unbind(); }

  /// Whether it is bound, and manager and backplane could still be there.
  [[nodiscard]] explicit operator bool() const noexcept { return binding_ != nullptr; }

  /// Sends to a room, to the union of rooms, or, with `allow_global`, to everyone.
  ///
  /// A replica of hawkapi-websockets on the same channel serves the first room of a union only.
  /// @returns what the backplane knows; not how many connections get it.
  /// @par Errors    at the call: `errc::room_required`, `invalid_room_name`, `invalid_utf8`,
  ///                `invalid_json` (nested over 63 levels: the message is one itself),
  ///                `message_too_big` (the backplane's limit, over the message as JSON),
  ///                `invalid_option` (the key; a report, which there is none of here),
  ///                `not_bound`.
  /// @par Suspends  while the backplane takes the message; never for a socket.
  ROOST_WHEN_USED awaitable<Published> broadcast_text(std::string_view text,
                                                      BroadcastOptions options = {}) const;
  /// Bytes travel as base64, four bytes for three.
  ROOST_WHEN_USED awaitable<Published> broadcast_bytes(std::span<const std::byte> bytes,
                                                       BroadcastOptions options = {}) const;
  /// Clients get the JSON as its publisher wrote it, also where that is a replica of another kind.
  template <std::same_as<nlohmann::json> Json>
  awaitable<Published> broadcast_json(const Json& json, BroadcastOptions options = {}) const {
    constexpr std::size_t max_depth = detail::max_json_depth - 1;
    return publish(detail::WireKind::json, detail::dump_json(json, max_depth), options);
  }

  /// The manager gets nothing from the backplane any more; sending is `errc::not_bound`.
  void unbind() noexcept;

 private:
  template <class Ws>
  friend Cluster bind_manager(BackplaneRef backplane, ConnectionManager<Ws>& manager,
                              BindOptions options);

  explicit Cluster(std::shared_ptr<detail::Binding> binding) noexcept
      : binding_(std::move(binding)) {}

  /// @param payload  as connections get it
  ROOST_WHEN_USED awaitable<Published> publish(detail::WireKind kind, std::string_view payload,
                                               const BroadcastOptions& options) const;
  /// First to the manager's own connections.
  ROOST_WHEN_USED static awaitable<Published> publish_both(
      std::shared_ptr<const detail::BoundManager> manager, Frame frame, detail::Audience to,
      detail::Manner manner, awaitable<Published> elsewhere);
  ROOST_WHEN_USED static awaitable<Published> nobody();

  ROOST_WHEN_USED static detail::Manner manner(const BroadcastOptions& options);

  ROOST_WHEN_USED [[nodiscard]] detail::Audience audience(const BroadcastOptions& options) const;

  std::shared_ptr<detail::Binding> binding_;
};

template <class Ws>
Cluster bind_manager(BackplaneRef backplane, ConnectionManager<Ws>& manager, BindOptions options) {
  detail::check_option(!options.allow_global || !manager.options().require_room,
                       "allow_global contradicts the manager's require_room");
  detail::check_wire_limit(backplane.any().max_message_bytes(),
                           manager.options().max_message_bytes);
  const auto& state = detail::ManagerAccess::state(manager);
  if (state->rooms().is_observed_for(backplane.any().id())) throw Error(errc::already_bound);
  const auto bound =
      std::make_shared<const detail::BoundManagerOf<Ws>>(state, options.allow_global);
  const auto binding = std::make_shared<detail::Binding>(std::move(backplane), bound);
  state->rooms().observe(binding);
  binding->subscription = binding->backplane.any().on_parcel(
      [bound](const detail::Parcel& parcel) { detail::deliver(parcel, *bound); }, state.get());
  return Cluster(binding);
}

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/cluster.ipp"
#endif
