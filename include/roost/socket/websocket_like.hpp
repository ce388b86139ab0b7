// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost {

/// A whole message from a peer.
struct Message {
  /// Whether it came as text; else it is binary.
  bool is_text = true;
  std::string payload;  ///< UTF-8 if it is text, any bytes if not.

  /// The payload as text, whichever it is.
  [[nodiscard]] std::string_view text() const noexcept { return payload; }
  /// The payload as bytes, whichever it is.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return std::as_bytes(std::span(payload));
  }
};

/// All that a `ConnectionManager` needs of a socket, so that a fake is ten lines.
///
/// The manager has at most one `send_*` outstanding on a socket, and calls the members on its
/// executor only. A failed send is an exception. `close` may be called beside an outstanding send
/// or receive and must end both.
///
/// The manager also uses these members of a socket that has them:
/// - `void abort()` ends the transport now, without a close handshake. Must not throw.
/// - `awaitable<void> close(std::uint16_t code, std::string_view reason)` sends a reason with its
///   close code; with a third argument, a `std::chrono::steady_clock::duration`, it aborts by
///   itself what does not close in that time.
/// - `void observe(OutboxWatch)` tells an observer that the socket has ended, and what happens to
///   its outbox if it has one. `observe({})` ends that.
/// - `std::optional<Disconnect> ended() const` is how the conversation ended; nothing while it goes
///   on.
/// - `any_io_executor get_executor() const` is where the socket lives. A manager of another
///   executor refuses it.
/// - `time_point last_activity() const` is when it was last heard of: by any frame, and all the
///   time while it does not read because a message waits to be taken.
/// - `void set_max_message_bytes(std::size_t)` stops reading a message at so many bytes; 0: no
///   limit.
/// - `bool flush()` writes what is queued now, not at the end of the burst. True if some of it
///   could be written, or is being written from now on.
template <class Ws>
concept WebSocketLike =
    requires(Ws& ws, std::string_view text, std::span<const std::byte> bytes, std::uint16_t code) {
      { ws.send_text(text) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.send_bytes(bytes) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.close(code) } -> std::same_as<boost::asio::awaitable<void>>;
    };

// What follows is optional too.

/// Receives whole messages. The end of the conversation is an exception.
template <class Ws>
concept ReceivesMessages = requires(Ws& ws) {
  { ws.receive() } -> std::same_as<boost::asio::awaitable<Message>>;
};
/// Receives whole messages, or text only: what the `receive` functions of a manager ask for.
template <class Ws>
concept ReceivingWebSocket = ReceivesMessages<Ws> || requires(Ws& ws) {
  { ws.receive_text() } -> std::same_as<boost::asio::awaitable<std::string>>;
};

/// Knows the headers of the request that it was upgraded from; names in any case.
template <class T>
concept HasHeaders = requires(const T& t, std::string_view name) {
  { t.header(name) } -> std::convertible_to<std::optional<std::string_view>>;
};

/// How a socket wants its frames; equal numbers mean the same bytes. 0: as they are.
using FrameForm = std::uint32_t;

/// Takes a frame over without suspending. False: it is closed, or closing.
///
/// The manager also uses these members of a socket that has them:
/// - `Sink* frame_sink()` is where its frames go in the end, through a `try_send` of the sink, so
///   that each of many recipients costs a manager fewer steps through memory. Null once it takes
///   none; valid until its observer is told `on_sink_gone`.
/// - `Queueing offer(const Frame&, const FramePolicy&)`, of the socket or its sink, drops and
///   replaces frames in the outbox. Where there is none, a frame that may be dropped is, while the
///   connection is congested.
/// - `FrameForm frame_form() const` and `static Frame in_form(const Frame&, FrameForm)` say that it
///   wants frames in another form than they have, compressed for example. The manager makes each
///   form of a frame once, for all whose `frame_form` is the same; that is asked once, and never
///   changes.
template <class Ws>
concept TakesFrames = requires(Ws& ws, const Frame& frame) {
  { ws.try_send(frame) } -> std::same_as<bool>;
};

/// Has an outbox that the manager can watch.
template <class Ws>
concept HasOutbox = TakesFrames<Ws> && requires(Ws& ws, OutboxWatch watch) {
  ws.observe(watch);
  { ws.queued_bytes() } -> std::convertible_to<std::size_t>;
  {
    ws.oldest_queued()
  } -> std::convertible_to<std::optional<std::chrono::steady_clock::time_point>>;
};

/// How far a socket has come with what it is to send.
struct SendProgress {
  /// Bytes that the peer has taken, counted from any beginning: what its kernel has acknowledged,
  /// not what ours has accepted.
  std::uint64_t taken = 0;
  /// Bytes that the peer has not taken yet, in the outbox and in our kernel.
  std::size_t pending = 0;
  /// How long the peer's kernel may take to acknowledge; 0: unknown.
  std::chrono::steady_clock::duration round_trip = {};
};

/// Knows what its peer has taken. Asked now and then, and only while the peer does not take all at
/// once. A socket that does not know it is judged by the age of its oldest byte.
template <class Ws>
concept TellsProgress = HasOutbox<Ws> && requires(const Ws& ws) {
  { ws.send_progress() } -> std::same_as<SendProgress>;
};

/// Sends ping frames without suspending. Tells its observer of pongs, or counts them into
/// `last_activity`. For a `HeartbeatMonitor`: a manager itself sends no pings.
template <class Ws>
concept Pings = requires(Ws& ws, std::string_view payload) {
  { ws.ping(payload) } -> std::same_as<void>;
};

}  // namespace roost
