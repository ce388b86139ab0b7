// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "roost/base/clock.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

/// The members that a socket need not have, see `WebSocketLike` and `TakesFrames`: each is called
/// where there is one, and here it says what holds where there is none.
namespace roost::detail::if_able {

template <class Ws>
inline constexpr bool can_abort = requires(Ws& socket) { socket.abort(); };

/// Ends the transport now; else nothing.
template <class Ws>
void abort([[maybe_unused]] Ws& socket) noexcept {
  if constexpr (can_abort<Ws>) socket.abort();
}

/// Closes with a reason, and in time; else without.
template <class Ws>
boost::asio::awaitable<void> close(Ws& socket, std::uint16_t code,
                                   [[maybe_unused]] std::string_view reason,
                                   [[maybe_unused]] Clock::duration timeout) {
  using Closed = boost::asio::awaitable<void>;
  if constexpr (requires { Closed(socket.close(code, reason, timeout)); }) {
    return socket.close(code, reason, timeout);
  } else if constexpr (requires { Closed(socket.close(code, reason)); }) {
    return socket.close(code, reason);
  } else {
    return socket.close(code);
  }
}

/// How the conversation ended; nothing while it goes on, or where the socket cannot tell.
template <class Ws>
[[nodiscard]] std::optional<Disconnect> ended([[maybe_unused]] const Ws& socket) {
  if constexpr (requires { std::optional<Disconnect>(socket.ended()); }) {
    return socket.ended();
  } else {
    return std::nullopt;
  }
}

/// Where it lives; none where it cannot tell.
template <class Ws>
[[nodiscard]] boost::asio::any_io_executor executor_of([[maybe_unused]] const Ws& socket) {
  if constexpr (requires { boost::asio::any_io_executor(socket.get_executor()); }) {
    return socket.get_executor();
  } else {
    return {};
  }
}

/// When it was last heard of; never where it cannot tell.
template <class Ws>
[[nodiscard]] Clock::time_point last_activity([[maybe_unused]] const Ws& socket) noexcept {
  if constexpr (requires { Clock::time_point(socket.last_activity()); }) {
    return socket.last_activity();
  } else {
    return Clock::time_point::min();
  }
}

/// Stops reading a message at @p n bytes, 0: no limit; else it is up to who takes the message.
template <class Ws>
void set_max_message_bytes([[maybe_unused]] Ws& socket, [[maybe_unused]] std::size_t n) {
  if constexpr (requires { socket.set_max_message_bytes(n); }) socket.set_max_message_bytes(n);
}

/// Tells the observer from now on; else nobody is told.
template <class Ws>
void observe([[maybe_unused]] Ws& socket, [[maybe_unused]] const OutboxWatch& watch) {
  if constexpr (requires { socket.observe(watch); }) socket.observe(watch);
}

/// Writes what is queued. @returns whether that was something; false where it does so by itself
template <class Ws>
bool flush([[maybe_unused]] Ws& socket) {
  if constexpr (requires {
                  { socket.flush() } -> std::same_as<bool>;
                }) {
    return socket.flush();
  } else {
    return false;
  }
}

/// Where its frames go; else to itself.
template <class Ws>
[[nodiscard]] auto* frame_sink(Ws& socket) noexcept {
  if constexpr (TakesFrames<Ws> && requires(const Frame& frame) {
                  socket.observe(OutboxWatch());
                  { socket.frame_sink()->try_send(frame) } -> std::same_as<bool>;
                }) {
    return socket.frame_sink();
  } else {
    return &socket;
  }
}

/// Whether frames may be dropped or replaced in the outbox of a socket or its sink.
template <class Sink>
inline constexpr bool offers_frames =
    requires(Sink& sink, const Frame& frame, const FramePolicy& policy) {
      { sink.offer(frame, policy) } -> std::same_as<Queueing>;
    };

/// Whether it wants frames in another form than they have.
template <class Ws>
inline constexpr bool forms_frames =
    TakesFrames<Ws> && requires(const Ws& socket, const Frame& frame, FrameForm form) {
      { socket.frame_form() } -> std::same_as<FrameForm>;
      { Ws::in_form(frame, form) } -> std::same_as<Frame>;
    };

/// The form that it wants; else as they are.
template <class Ws>
[[nodiscard]] FrameForm frame_form([[maybe_unused]] const Ws& socket) {
  if constexpr (forms_frames<Ws>) {
    return socket.frame_form();
  } else {
    return 0;
  }
}

}  // namespace roost::detail::if_able
