// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "roost/socket/disconnect.hpp"
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
template <class Ws>
concept WebSocketLike =
    requires(Ws& ws, std::string_view text, std::span<const std::byte> bytes, std::uint16_t code) {
      { ws.send_text(text) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.send_bytes(bytes) } -> std::same_as<boost::asio::awaitable<void>>;
      { ws.close(code) } -> std::same_as<boost::asio::awaitable<void>>;
    };

// The capabilities below are optional: the manager uses what a socket has.

/// Receives whole messages. The end of the conversation is an exception.
template <class Ws>
concept ReceivesMessages = requires(Ws& ws) {
  { ws.receive() } -> std::same_as<boost::asio::awaitable<Message>>;
};
/// Receives text only.
template <class Ws>
concept ReceivesText = requires(Ws& ws) {
  { ws.receive_text() } -> std::same_as<boost::asio::awaitable<std::string>>;
};
/// Receives, one way or the other: what the `receive` functions of a manager ask for.
template <class Ws>
concept ReceivingWebSocket = ReceivesMessages<Ws> || ReceivesText<Ws>;

/// Knows the headers of the request that it was upgraded from; names in any case.
template <class T>
concept HasHeaders = requires(const T& t, std::string_view name) {
  { t.header(name) } -> std::convertible_to<std::optional<std::string_view>>;
};

/// Takes a frame over without suspending. False: it is closed, or closing.
template <class Ws>
concept TakesFrames = requires(Ws& ws, const Frame& frame) {
  { ws.try_send(frame) } -> std::same_as<bool>;
};

/// Tells an observer that it has ended, and what happens to its outbox if it has one.
/// `observe({})` ends that.
template <class Ws>
concept Observable = requires(Ws& ws, OutboxWatch watch) { ws.observe(watch); };

/// Tells where its frames go in the end, so that each of many recipients costs a manager fewer
/// steps through memory. Null once it takes none; valid until its observer is told `on_sink_gone`.
template <class Ws>
concept HasFrameSink = TakesFrames<Ws> && Observable<Ws> && requires(Ws& ws, const Frame& frame) {
  { ws.frame_sink()->try_send(frame) } -> std::same_as<bool>;
};

/// Has an outbox that drops and replaces frames, itself or its sink. Where a socket that takes
/// frames has none, a frame that may be dropped is, while the connection is congested.
template <class Sink>
concept OffersFrames = requires(Sink& sink, const Frame& frame, const FramePolicy& policy) {
  { sink.offer(frame, policy) } -> std::same_as<Queueing>;
};

/// How a socket wants its frames; equal numbers mean the same bytes. 0: as they are.
using FrameForm = std::uint32_t;

/// Wants frames in another form than they have, compressed for example. The manager makes each form
/// of a frame once, for all whose `frame_form` is the same; that is asked once, and never changes.
template <class Ws>
concept FormsFrames =
    TakesFrames<Ws> && requires(const Ws& ws, const Frame& frame, FrameForm form) {
      { ws.frame_form() } -> std::same_as<FrameForm>;
      { Ws::in_form(frame, form) } -> std::same_as<Frame>;
    };

/// Has an outbox that the manager can watch.
template <class Ws>
concept HasOutbox = TakesFrames<Ws> && Observable<Ws> && requires(Ws& ws) {
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

/// Writes what it has queued now, not at the end of the burst.
/// @returns whether some of it could be written, or is being written from now on.
template <class Ws>
concept Flushes = requires(Ws& ws) {
  { ws.flush() } -> std::same_as<bool>;
};

/// Knows where it lives; a manager of another executor refuses it.
template <class Ws>
concept HasExecutor = requires(const Ws& ws) {
  { ws.get_executor() } -> std::convertible_to<boost::asio::any_io_executor>;
};

/// Ends the transport at once, without a close handshake. Must not throw.
template <class Ws>
concept Aborts = requires(Ws& ws) { ws.abort(); };

/// Sends a reason text with its close code.
template <class Ws>
concept ClosesWithReason = requires(Ws& ws, std::uint16_t code, std::string_view reason) {
  { ws.close(code, reason) } -> std::same_as<boost::asio::awaitable<void>>;
};

/// The same, and aborts by itself what does not close in time.
template <class Ws>
concept ClosesInTime = requires(Ws& ws, std::uint16_t code, std::string_view reason,
                                std::chrono::steady_clock::duration timeout) {
  { ws.close(code, reason, timeout) } -> std::same_as<boost::asio::awaitable<void>>;
};

/// Sends ping frames without suspending. Tells its observer of pongs, or counts them into
/// `last_activity`. For a `HeartbeatMonitor`: a manager itself sends no pings.
template <class Ws>
concept Pings = requires(Ws& ws, std::string_view payload) {
  { ws.ping(payload) } -> std::same_as<void>;
};

/// Knows when it was last heard of: by any frame, and all the time while it does not read because
/// a message waits to be taken.
template <class Ws>
concept HasLastActivity = requires(const Ws& ws) {
  { ws.last_activity() } -> std::convertible_to<std::chrono::steady_clock::time_point>;
};

/// Stops reading a message at @p n bytes; 0: no limit.
template <class Ws>
concept LimitsMessages = requires(Ws& ws, std::size_t n) { ws.set_max_message_bytes(n); };

/// Knows how the conversation ended; nothing while it goes on.
template <class Ws>
concept KnowsItsEnd = requires(const Ws& ws) {
  { ws.ended() } -> std::convertible_to<std::optional<Disconnect>>;
};

}  // namespace roost
