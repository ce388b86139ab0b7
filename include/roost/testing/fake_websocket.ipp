// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "roost/base/error.hpp"
#include "roost/testing/fake_websocket.hpp"

namespace roost::testing {

ROOST_DECL std::vector<std::string> FakeWebSocket::sent_texts() const {
  std::vector<std::string> texts;
  for (const Message& message : sent_) {
    if (message.is_text) texts.push_back(message.payload);
  }
  return texts;
}

ROOST_DECL std::vector<nlohmann::json> FakeWebSocket::sent_json() const {
  std::vector<nlohmann::json> values;
  for (const std::string& text : sent_texts()) values.push_back(detail::decode_json(text));
  return values;
}

ROOST_DECL void FakeWebSocket::set_header(std::string name, std::string value) {
  headers_.emplace_back(std::move(name), std::move(value));
}

ROOST_DECL void FakeWebSocket::peer_sends(std::string text) {
  peer_sends(Message{true, std::move(text)});
}

ROOST_DECL void FakeWebSocket::peer_sends(Message message) {
  inbound_.push_back(std::move(message));
  changed_.notify_all();
}

ROOST_DECL void FakeWebSocket::peer_sends_json(const nlohmann::json& value) {
  peer_sends(value.dump());
}

ROOST_DECL void FakeWebSocket::peer_pongs(std::string_view payload) {
  if (observer_) observer_->on_pong(payload);
}

ROOST_DECL void FakeWebSocket::peer_closes(std::uint16_t code, std::string reason) {
  end({DisconnectReason::peer_closed, code, std::move(reason)});
}

ROOST_DECL void FakeWebSocket::peer_vanishes() { end({}); }

ROOST_DECL void FakeWebSocket::fail_sends(boost::system::error_code error) { send_error_ = error; }

ROOST_DECL void FakeWebSocket::resume_sends() {
  is_stalled_ = false;
  changed_.notify_all();
}

ROOST_DECL boost::asio::awaitable<void> FakeWebSocket::send_text(std::string_view text) {
  return send(Message{true, std::string(text)});
}

ROOST_DECL boost::asio::awaitable<void> FakeWebSocket::send_bytes(
    std::span<const std::byte> bytes) {
  return send(
      Message{false, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
}

ROOST_DECL boost::asio::awaitable<Message> FakeWebSocket::receive() {
  const auto executor = co_await boost::asio::this_coro::executor;
  tell_end();
  while (inbound_.empty() && !ended_) co_await detail::wait(changed_, executor, *clock_);
  if (inbound_.empty()) throw Error(errc::connection_closed, "FakeWebSocket");
  Message message = std::move(inbound_.front());
  inbound_.pop_front();
  co_return message;
}

ROOST_DECL boost::asio::awaitable<void> FakeWebSocket::close(std::uint16_t code,
                                                             std::string_view reason) {
  return run_close(code, std::string(reason));
}

ROOST_DECL void FakeWebSocket::abort() {
  is_aborted_ = true;
  end({DisconnectReason::disconnected, roost::close_code::abnormal, {}});
}

ROOST_DECL void FakeWebSocket::ping(std::string_view payload) {
  ++pings_;
  last_ping_ = payload;
  if (!ignores_pings_ && !ended_) peer_pongs(payload);
}

ROOST_DECL std::optional<std::string_view> FakeWebSocket::header(
    std::string_view name) const noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (const auto& [key, value] : headers_) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [&](char a, char b) { return lower(a) == lower(b); })) {
      return value;
    }
  }
  return std::nullopt;
}

struct FakeWebSocket::Sending {
  FakeWebSocket& socket;
  explicit Sending(FakeWebSocket& s) : socket(s) {
    socket.most_sends_at_once_ = std::max(socket.most_sends_at_once_, ++socket.sends_at_once_);
  }
  ~Sending() { --socket.sends_at_once_; }
};

ROOST_DECL boost::asio::awaitable<void> FakeWebSocket::send(Message message) {
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

ROOST_DECL boost::asio::awaitable<void> FakeWebSocket::run_close(std::uint16_t code,
                                                                 std::string reason) {
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

ROOST_DECL void FakeWebSocket::end(Disconnect how) {
  if (!ended_) ended_ = std::move(how);
  changed_.notify_all();
  tell_end();
}

ROOST_DECL void FakeWebSocket::tell_end() {
  if (!ended_ || !inbound_.empty()) return;
  if (SocketObserver* observer = std::exchange(observer_, nullptr)) observer->on_closed(*ended_);
}

}  // namespace roost::testing
