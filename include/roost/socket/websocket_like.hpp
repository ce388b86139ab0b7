// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <concepts>
#include <optional>

#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost {

/// A complete message from a peer.
struct Message {
  /// Whether the message is text; otherwise it is binary.
  bool is_text = true;
  std::string payload;  ///< UTF-8 if it is text, otherwise any bytes.

  /// Returns the payload as text, whether the message is text or binary.
  [[nodiscard]] std::string_view text() const noexcept { return payload; }
  /// Returns the payload as bytes, whether the message is text or binary.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return std::as_bytes(std::span(payload));
  }
};

/// The three members that a `ConnectionManager` requires of a socket.
///
/// The manager has at most one `send_*` outstanding on a socket, and calls the members only on its
/// executor. A failed send throws. `close` may be called while a send or a receive is outstanding
/// and must end both.
///
/// The manager also uses these members of a socket that has them:
/// - `void abort()` ends the transport immediately, without a close handshake. It must not throw.
/// - `awaitable<void> close(std::uint16_t code, std::string_view reason)` sends a reason with the
///   close code. With a third argument, a `std::chrono::steady_clock::duration`, it aborts the
///   transport if the close handshake takes longer than that.
/// - `void observe(OutboxWatch)` sets the observer that is told when the socket ends, and what
///   happens to its outbox if it has one. `observe({})` removes the observer.
/// - `std::optional<Disconnect> ended() const` returns how the conversation ended; nothing while it
///   goes on.
/// - `any_io_executor get_executor() const` returns the executor of the socket. A manager on
///   another executor refuses the socket.
/// - `time_point last_activity() const` returns when the peer was last heard from. Any frame
///   counts; while the socket does not read because a message waits to be received, it returns the
///   current time.
/// - `void set_max_message_bytes(std::size_t)` limits inbound messages to so many bytes; 0: no
///   limit.
/// - `bool flush()` writes queued bytes now rather than at the end of the burst. It returns true if
///   some were written, or are being written from now on.
template <class Ws>
concept WebSocketLike =
    requires(Ws& ws, std::string_view text, std::span<const std::byte> bytes, std::uint16_t code) {
      { ws.send_text(text) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.send_bytes(bytes) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.close(code) } -> std::same_as<boost::asio::awaitable<void>>;
    };

// The following concepts are optional too.

/// A socket that receives complete messages. `receive` throws when the conversation has ended.
template <class Ws>
concept ReceivesMessages = requires(Ws& ws) {
  { ws.receive() } -> std::same_as<boost::asio::awaitable<Message>>;
};
/// A socket that receives complete messages, or only text. The `receive` functions of a manager
/// require it.
template <class Ws>
concept ReceivingWebSocket = ReceivesMessages<Ws> || requires(Ws& ws) {
  { ws.receive_text() } -> std::same_as<boost::asio::awaitable<std::string>>;
};

/// An object that knows the headers of its upgrade request; names are compared ignoring case.
template <class T>
concept HasHeaders = requires(const T& t, std::string_view name) {
  { t.header(name) } -> std::convertible_to<std::optional<std::string_view>>;
};

/// The form in which a socket wants its frames. Equal numbers mean the same bytes; 0 means
/// unchanged.
using FrameForm = std::uint32_t;

/// A socket that accepts frames without suspending. `try_send` returns false if the socket is
/// closed or closing.
///
/// The manager also uses these members of a socket that has them:
/// - `Sink* frame_sink()` returns an object whose `try_send` accepts the frames in place of the
///   socket's, so that a broadcast touches less memory per recipient. It is null when the socket
///   accepts none any more, and valid until the observer is told `on_sink_gone`.
/// - `Queueing offer(const Frame&, const FramePolicy&)`, of the socket or its sink, drops and
///   replaces frames in the outbox. Without it, frames that may be dropped are dropped while the
///   connection is congested.
/// - `FrameForm frame_form() const` and `static Frame in_form(const Frame&, FrameForm)` let the
///   socket ask for frames in another form, compressed for example. The manager makes each form of
///   a frame once, for all sockets with the same `frame_form`. It asks a socket for its form once;
///   the form never changes.
template <class Ws>
concept TakesFrames = requires(Ws& ws, const Frame& frame) {
  { ws.try_send(frame) } -> std::same_as<bool>;
};

/// A socket whose outbox the manager can watch.
template <class Ws>
concept HasOutbox = TakesFrames<Ws> && requires(Ws& ws, OutboxWatch watch) {
  ws.observe(watch);
  { ws.queued_bytes() } -> std::convertible_to<std::size_t>;
  {
    ws.oldest_queued()
  } -> std::convertible_to<std::optional<std::chrono::steady_clock::time_point>>;
};

/// How many bytes the peer has taken, and how many it has not.
struct SendProgress {
  /// Bytes that the peer has taken, counted from any starting point: those that its kernel has
  /// acknowledged, not those that the local kernel has accepted.
  std::uint64_t taken = 0;
  /// Bytes that the peer has not taken yet, in the outbox and in the local kernel.
  std::size_t pending = 0;
  /// How long an acknowledgement by the peer's kernel may take; 0: unknown.
  std::chrono::steady_clock::duration round_trip = {};
};

/// A socket that knows how much its peer has taken. The manager asks now and then, only while the
/// outbox is not empty after a flush. A socket without this is judged by the age of its oldest
/// byte.
template <class Ws>
concept TellsProgress = HasOutbox<Ws> && requires(const Ws& ws) {
  { ws.send_progress() } -> std::same_as<SendProgress>;
};

/// A socket that sends ping frames without suspending. It tells its observer of pongs, or counts
/// them in `last_activity`. A `HeartbeatMonitor` uses it; a manager itself sends no pings.
template <class Ws>
concept Pings = requires(Ws& ws, std::string_view payload) {
  { ws.ping(payload) } -> std::same_as<void>;
};

}  // namespace roost
