// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
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

#include "roost/clock.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/wait.hpp"
#include "roost/disconnect.hpp"
#include "roost/error.hpp"
#include "roost/message.hpp"
#include "roost/socket_observer.hpp"

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
  [[nodiscard]] std::vector<std::string> sent_texts() const {
    std::vector<std::string> texts;
    for (const Message& message : sent_) {
      if (message.is_text) texts.push_back(message.payload);
    }
    return texts;
  }
  /// The text messages, parsed; throws for one that is no JSON.
  [[nodiscard]] std::vector<nlohmann::json> sent_json() const {
    std::vector<nlohmann::json> values;
    for (const std::string& text : sent_texts()) values.push_back(nlohmann::json::parse(text));
    return values;
  }
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
  void set_header(std::string name, std::string value) {
    headers_.emplace_back(std::move(name), std::move(value));
  }
  /// A text message.
  void peer_sends(std::string text) { peer_sends(Message{true, std::move(text)}); }
  /// A message of either kind.
  void peer_sends(Message message) {
    inbound_.push_back(std::move(message));
    changed_.notify_all();
  }
  /// A text message: @p value, serialised.
  void peer_sends_json(const nlohmann::json& value) { peer_sends(value.dump()); }
  /// A pong, asked for or not. Pings are answered without this, at once.
  void peer_pongs(std::string_view payload) {
    if (observer_) observer_->on_pong(payload);
  }
  /// A close frame. What the peer sent before is received first.
  void peer_closes(std::uint16_t code = roost::close_code::normal, std::string reason = {}) {
    end({DisconnectReason::peer_closed, code, std::move(reason)});
  }
  /// The connection is lost without a close frame.
  void peer_vanishes() { end({}); }

  // --- trouble ---

  /// Every further send fails.
  void fail_sends(boost::system::error_code error = boost::asio::error::broken_pipe) {
    send_error_ = error;
  }
  /// Further sends wait until `resume_sends`, or until the socket is closed.
  void stall_sends() noexcept { is_stalled_ = true; }
  /// Those that wait go on.
  void resume_sends() {
    is_stalled_ = false;
    changed_.notify_all();
  }
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
  ROOST_WHEN_USED
  boost::asio::awaitable<void> send_text(std::string_view text) {
    return send(Message{true, std::string(text)});
  }
  /// Records a binary message, unless there is trouble.
  ROOST_WHEN_USED
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    return send(
        Message{false, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
  }

  /// What the peer has sent, or will.
  /// @par Errors  `errc::connection_closed` once it has ended and all is taken.
  ROOST_WHEN_USED
  boost::asio::awaitable<Message> receive() {
    const auto executor = co_await boost::asio::this_coro::executor;
    tell_end();
    while (inbound_.empty() && !ended_) co_await detail::wait(changed_, executor, *clock_);
    if (inbound_.empty()) throw Error(errc::connection_closed, "FakeWebSocket");
    Message message = std::move(inbound_.front());
    inbound_.pop_front();
    co_return message;
  }

  /// Records the close, and ends.
  ROOST_WHEN_USED
  boost::asio::awaitable<void> close(std::uint16_t code, std::string_view reason = {}) {
    return run_close(code, std::string(reason));
  }
  /// Records it, and ends.
  void abort() {
    is_aborted_ = true;
    end({DisconnectReason::disconnected, roost::close_code::abnormal, {}});
  }

  /// Counts a ping, and answers it unless told not to.
  void ping(std::string_view payload) {
    ++pings_;
    last_ping_ = payload;
    if (!ignores_pings_ && !ended_) peer_pongs(payload);
  }
  /// What `set_header` has set.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    for (const auto& [key, value] : headers_) {
      if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                     [&](char a, char b) { return lower(a) == lower(b); })) {
        return value;
      }
    }
    return std::nullopt;
  }
  /// How it ended; nothing while it has not.
  [[nodiscard]] std::optional<Disconnect> ended() const { return ended_; }
  /// Tells its end and its pongs to @p watch.
  void observe(OutboxWatch watch) noexcept { observer_ = watch.observer; }

 private:
  ROOST_WHEN_USED
  boost::asio::awaitable<void> send(Message message) {
    struct Sending {
      FakeWebSocket& socket;
      explicit Sending(FakeWebSocket& s) : socket(s) {
        socket.most_sends_at_once_ = std::max(socket.most_sends_at_once_, ++socket.sends_at_once_);
      }
      ~Sending() { --socket.sends_at_once_; }
    };
    const Sending sending(*this);
    const auto executor = co_await boost::asio::this_coro::executor;
    if (send_delay_ > Clock::duration::zero()) {
      const Clock::time_point due = clock_->now() + send_delay_;
      while (!ended_ && co_await detail::wait(changed_, executor, *clock_, due)) {
      }
    }
    while (is_stalled_ && !ended_) co_await detail::wait(changed_, executor, *clock_);
    if (ended_) throw boost::system::system_error(boost::asio::error::not_connected);
    if (send_error_) throw boost::system::system_error(send_error_);
    sent_.push_back(std::move(message));
  }

  ROOST_WHEN_USED
  boost::asio::awaitable<void> run_close(std::uint16_t code, std::string reason) {
    if (!close_code_) {
      close_code_ = code;
      close_reason_ = reason;
    }
    end({DisconnectReason::disconnected, code, std::move(reason)});
    const auto executor = co_await boost::asio::this_coro::executor;
    while (is_close_stalled_ && !is_aborted_) {
      co_await detail::wait(changed_, executor, *clock_);
    }
  }

  void end(Disconnect how) {
    if (!ended_) ended_ = std::move(how);
    changed_.notify_all();
    tell_end();
  }

  // Like a real one: its end is seen once all that came before it was taken.
  void tell_end() {
    if (!ended_ || !inbound_.empty()) return;
    if (SocketObserver* observer = std::exchange(observer_, nullptr)) observer->on_closed(*ended_);
  }

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
