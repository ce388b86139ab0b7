// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::testing {

/// A WebSocket without a network. It records what the server sends, plays the part of a peer, and
/// fails on demand.
class FakeWebSocket {
 public:
  /// Makes an open socket without failures.
  FakeWebSocket() = default;
  FakeWebSocket(const FakeWebSocket&) = delete;
  FakeWebSocket& operator=(const FakeWebSocket&) = delete;

  // --- what the server has sent ---

  /// All messages that the server has sent, in order.
  [[nodiscard]] const std::vector<Message>& sent() const noexcept { return sent_; }
  /// The payloads of the text messages that the server has sent.
  [[nodiscard]] std::vector<std::string> sent_texts() const;
  /// The text messages that the server has sent, parsed. Throws if one is not JSON.
  [[nodiscard]] std::vector<nlohmann::json> sent_json() const;
  /// Forgets the messages that the server has sent so far.
  void forget_sent() noexcept { sent_.clear(); }
  /// The close code that the server sent; `nullopt` if it has not closed.
  [[nodiscard]] std::optional<std::uint16_t> close_code() const noexcept { return close_code_; }
  /// The close reason that the server sent.
  [[nodiscard]] const std::string& close_reason() const noexcept { return close_reason_; }
  /// Whether the server ended the connection without a close frame.
  [[nodiscard]] bool is_aborted() const noexcept { return is_aborted_; }
  /// How many pings the server has sent.
  [[nodiscard]] std::size_t pings() const noexcept { return pings_; }
  /// The payload of the last ping that the server sent.
  [[nodiscard]] const std::string& last_ping() const noexcept { return last_ping_; }
  /// How many sends were under way at the same time, at most. A manager never starts more than one.
  [[nodiscard]] std::size_t most_sends_at_once() const noexcept { return most_sends_at_once_; }

  // --- what the peer does ---

  /// Sets a header of the upgrade request; names are compared without regard to case.
  void set_header(std::string name, std::string value);
  /// Makes the peer send a text message.
  void peer_sends(std::string text);
  /// Makes the peer send a text or binary message.
  void peer_sends(Message message);
  /// Makes the peer send @p value, serialised, as a text message.
  void peer_sends_json(const nlohmann::json& value);
  /// Makes the peer send a pong. Pings of the server are answered immediately without this.
  void peer_pongs(std::string_view payload);
  /// Makes the peer send a close frame. Messages that it sent before are received first.
  void peer_closes(std::uint16_t code = roost::close_code::normal, std::string reason = {});
  /// Ends the connection without a close frame.
  void peer_vanishes();

  // --- failures ---

  /// Makes all further sends fail with @p error.
  void fail_sends(boost::system::error_code error = boost::asio::error::broken_pipe);
  /// Makes further sends wait until `resume_sends`, or until the socket is closed.
  void stall_sends() noexcept { is_stalled_ = true; }
  /// Lets the waiting sends go on.
  void resume_sends();
  /// Makes each further send take @p delay, measured with @p clock.
  void delay_sends(Clock& clock, Clock::duration delay) noexcept {
    clock_ = &clock;
    send_delay_ = delay;
  }
  /// Makes the peer ignore further pings.
  void ignore_pings() noexcept { ignores_pings_ = true; }
  /// Makes further closes wait forever: the peer does not answer.
  void stall_close() noexcept { is_close_stalled_ = true; }

  // --- WebSocketLike and its capabilities ---

  /// Records a text message. Fails or waits as the functions above say.
  boost::asio::awaitable<void> send_text(std::string_view text);
  /// Records a binary message. Fails or waits as the functions above say.
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes);

  /// Waits for the next message of the peer.
  /// @par Errors  `errc::connection_closed` once the connection has ended and all messages are
  ///              taken.
  boost::asio::awaitable<Message> receive();

  /// Records the close frame, and ends the connection.
  boost::asio::awaitable<void> close(std::uint16_t code, std::string_view reason = {});
  /// Records the abort, and ends the connection.
  void abort();

  /// Counts a ping, and answers it with a pong unless told not to.
  void ping(std::string_view payload);
  /// A header that `set_header` has set.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  /// How the connection ended; `nullopt` while it has not.
  [[nodiscard]] std::optional<Disconnect> ended() const { return ended_; }
  /// Tells the observer of @p watch about pongs and the end.
  void observe(OutboxWatch watch) noexcept { observer_ = watch.observer; }

 private:
  struct Sending;

  boost::asio::awaitable<void> send(Message message);

  boost::asio::awaitable<void> run_close(std::uint16_t code, std::string reason);

  void end(Disconnect how);

  // As with a real socket, the end is reported once all messages before it were taken.
  void tell_end();

  std::vector<Message> sent_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::deque<Message> inbound_;
  std::optional<Disconnect> ended_;
  std::optional<std::uint16_t> close_code_;
  std::string close_reason_;
  boost::system::error_code send_error_;
  Clock* clock_ = &Clock::system();
  Clock::duration send_delay_{};
  bool is_stalled_ = false;
  bool is_close_stalled_ = false;
  bool is_aborted_ = false;
  bool ignores_pings_ = false;
  std::size_t pings_ = 0;
  std::string last_ping_;
  std::size_t sends_at_once_ = 0;
  std::size_t most_sends_at_once_ = 0;
  SocketObserver* observer_ = nullptr;
  detail::WaitList changed_;
};

}  // namespace roost::testing

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/testing/fake_websocket.ipp"
#endif
