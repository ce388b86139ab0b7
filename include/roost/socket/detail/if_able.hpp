// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "roost/base/clock.hpp"
#include "roost/socket/websocket_like.hpp"

/// Calls the optional members of a socket (see `WebSocketLike` and `TakesFrames`) if it has them,
/// and says what happens if it does not.
namespace roost::detail::if_able {

template <class Ws>
inline constexpr bool can_abort = requires(Ws& socket) { socket.abort(); };

/// Ends the transport immediately. Does nothing if the socket cannot.
template <class Ws>
void abort([[maybe_unused]] Ws& socket) noexcept {
  if constexpr (can_abort<Ws>) socket.abort();
}

/// Closes with a reason and a timeout, or without them if the socket does not take them.
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

/// Returns how the conversation ended; nothing while it goes on, or if the socket does not say.
template <class Ws>
[[nodiscard]] std::optional<Disconnect> ended([[maybe_unused]] const Ws& socket) {
  if constexpr (requires { std::optional<Disconnect>(socket.ended()); }) {
    return socket.ended();
  } else {
    return std::nullopt;
  }
}

/// Returns the executor of the socket, or an empty one if the socket does not say.
template <class Ws>
[[nodiscard]] boost::asio::any_io_executor executor_of([[maybe_unused]] const Ws& socket) {
  if constexpr (requires { boost::asio::any_io_executor(socket.get_executor()); }) {
    return socket.get_executor();
  } else {
    return {};
  }
}

/// Returns when the peer was last heard from, or `time_point::min()` if the socket does not say.
template <class Ws>
[[nodiscard]] Clock::time_point last_activity([[maybe_unused]] const Ws& socket) noexcept {
  if constexpr (requires { Clock::time_point(socket.last_activity()); }) {
    return socket.last_activity();
  } else {
    return Clock::time_point::min();
  }
}

/// Limits inbound messages to @p n bytes; 0: no limit. If the socket cannot, `receive` checks the
/// size afterwards.
template <class Ws>
void set_max_message_bytes([[maybe_unused]] Ws& socket, [[maybe_unused]] std::size_t n) {
  if constexpr (requires { socket.set_max_message_bytes(n); }) socket.set_max_message_bytes(n);
}

/// Sets the observer of the socket. Does nothing if it does not support one.
template <class Ws>
void observe([[maybe_unused]] Ws& socket, [[maybe_unused]] const OutboxWatch& watch) {
  if constexpr (requires { socket.observe(watch); }) socket.observe(watch);
}

/// Writes queued bytes now. @returns whether any could be written, or are being written; false if
/// the socket has no `flush`
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

/// Returns the frame sink of the socket, or the socket if it has none.
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

/// Whether a socket or sink can drop and replace frames in its outbox.
template <class Sink>
inline constexpr bool offers_frames =
    requires(Sink& sink, const Frame& frame, const FramePolicy& policy) {
      { sink.offer(frame, policy) } -> std::same_as<Queueing>;
    };

/// Whether a socket can ask for frames in another form, such as compressed.
template <class Ws>
inline constexpr bool forms_frames =
    TakesFrames<Ws> && requires(const Ws& socket, const Frame& frame, FrameForm form) {
      { socket.frame_form() } -> std::same_as<FrameForm>;
      { Ws::in_form(frame, form) } -> std::same_as<Frame>;
    };

/// Returns the form in which the socket wants frames; 0 (unchanged) if it has no preference.
template <class Ws>
[[nodiscard]] FrameForm frame_form([[maybe_unused]] const Ws& socket) {
  if constexpr (forms_frames<Ws>) {
    return socket.frame_form();
  } else {
    return 0;
  }
}

}  // namespace roost::detail::if_able
