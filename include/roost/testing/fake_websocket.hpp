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

/// A WebSocket without a network: it records what the server sends, plays what a peer would send,
/// and misbehaves on demand.
class FakeWebSocket {
 public:
  /// Open, and behaves.
  FakeWebSocket() = default;
  FakeWebSocket(const FakeWebSocket&) = delete;
  FakeWebSocket& operator=(const FakeWebSocket&) = delete;

  // --- what the server has sent ---

  /// All messages, in their order.
  [[nodiscard]] const std::vector<Message>& sent() const noexcept { return sent_; }
  /// The payloads of the text messages.
  [[nodiscard]] std::vector<std::string> sent_texts() const;
  /// The text messages, parsed; throws for one that is no JSON.
  [[nodiscard]] std::vector<nlohmann::json> sent_json() const;
  /// Begins anew.
  void forget_sent() noexcept { sent_.clear(); }
  /// The code that the server closed with; nothing while it has not.
  [[nodiscard]] std::optional<std::uint16_t> close_code() const noexcept { return close_code_; }
  /// The reason text that it closed with.
  [[nodiscard]] const std::string& close_reason() const noexcept { return close_reason_; }
  /// Whether the server ended it without a close frame.
  [[nodiscard]] bool is_aborted() const noexcept { return is_aborted_; }
  /// How many pings the server has sent.
  [[nodiscard]] std::size_t pings() const noexcept { return pings_; }
  /// The payload of the last of them.
  [[nodiscard]] const std::string& last_ping() const noexcept { return last_ping_; }
  /// More than one would be the bug that a manager prevents.
  [[nodiscard]] std::size_t most_sends_at_once() const noexcept { return most_sends_at_once_; }

  // --- what the peer does ---

  /// A header of the upgrade request; names in any case.
  void set_header(std::string name, std::string value);
  /// A text message.
  void peer_sends(std::string text);
  /// A message of either kind.
  void peer_sends(Message message);
  /// A text message: @p value, serialised.
  void peer_sends_json(const nlohmann::json& value);
  /// A pong, asked for or not. Pings are answered without this, at once.
  void peer_pongs(std::string_view payload);
  /// A close frame. What the peer sent before is received first.
  void peer_closes(std::uint16_t code = roost::close_code::normal, std::string reason = {});
  /// The connection is lost without a close frame.
  void peer_vanishes();

  // --- trouble ---

  /// Every further send fails.
  void fail_sends(boost::system::error_code error = boost::asio::error::broken_pipe);
  /// Further sends wait until `resume_sends`, or until the socket is closed.
  void stall_sends() noexcept { is_stalled_ = true; }
  /// Those that wait go on.
  void resume_sends();
  /// Further sends take this long.
  void delay_sends(Clock& clock, Clock::duration delay) noexcept {
    clock_ = &clock;
    send_delay_ = delay;
  }
  /// Further pings are not answered.
  void ignore_pings() noexcept { ignores_pings_ = true; }
  /// Further closes never complete: the peer does not answer.
  void stall_close() noexcept { is_close_stalled_ = true; }

  // --- WebSocketLike and its capabilities ---

  /// Records a text message, unless there is trouble.
  ROOST_WHEN_USED boost::asio::awaitable<void> send_text(std::string_view text);
  /// Records a binary message, unless there is trouble.
  ROOST_WHEN_USED boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes);

  /// What the peer has sent, or will.
  /// @par Errors  `errc::connection_closed` once it has ended and all is taken.
  ROOST_WHEN_USED boost::asio::awaitable<Message> receive();

  /// Records the close, and ends.
  ROOST_WHEN_USED boost::asio::awaitable<void> close(std::uint16_t code,
                                                     std::string_view reason = {});
  /// Records it, and ends.
  void abort();

  /// Counts a ping, and answers it unless told not to.
  void ping(std::string_view payload);
  /// What `set_header` has set.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  /// How it ended; nothing while it has not.
  [[nodiscard]] std::optional<Disconnect> ended() const { return ended_; }
  /// Tells its end and its pongs to @p watch.
  void observe(OutboxWatch watch) noexcept { observer_ = watch.observer; }

 private:
  struct Sending;

  ROOST_WHEN_USED boost::asio::awaitable<void> send(Message message);

  ROOST_WHEN_USED boost::asio::awaitable<void> run_close(std::uint16_t code, std::string reason);

  void end(Disconnect how);

  // Like a real one: its end is seen once all that came before it was taken.
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
