// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <exception>
#include <utility>

#include "roost/beast/conversation/link_conversation.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

ROOST_DECL LinkConversation::LinkConversation(const std::shared_ptr<Link>& link, FrameForm form,
                                              bool keeps_client_context)
    : Conversation(link),
      link_(*link),
      form_(form),
      reader_(link->options().max_message_bytes, /*inflates=*/form != 0, keeps_client_context) {}

ROOST_DECL LinkConversation::~LinkConversation() {
  link_.set_listener(nullptr);
  link_.abort();
}

ROOST_DECL void LinkConversation::start() {
  link_.set_listener(this);
  pending_ = link_.take_leftover();
  consume_pending();
  proceed();
}

ROOST_DECL void LinkConversation::resume() {
  const bool may_go_on = handed_over_.messages < max_messages && handed_over_.bytes < max_bytes;
  if (!link_.is_down() && has_space() && may_go_on) consume_pending();
  if (link_.is_down() || has_space()) space_.notify_all();
}

ROOST_DECL void LinkConversation::consume_pending() {
  auto rest = std::as_writable_bytes(std::span(pending_)).subspan(consumed_);
  consume(rest);
  consumed_ = pending_.size() - rest.size();
  if (!rest.empty()) return;
  std::string().swap(pending_);  // an idle connection keeps nothing
  consumed_ = 0;
}

ROOST_DECL void LinkConversation::consume(std::span<std::byte>& bytes) {
  while (!bytes.empty() && has_space() && !answers_too_much_ && final_event_ == Event::none) {
    switch (const Event event = reader_.next(bytes)) {
      case Event::none: break;
      case Event::message: on_message(); break;
      case Event::pong: inbox_->pong(reader_.control_payload()); break;
      case Event::ping:
        link_.try_send(Frame::encode(Opcode::pong, reader_.control_payload()),
                       Outbox::EntryClass::control);
        answers_too_much_ = link_.is_congested();
        break;
      case Event::close:
      case Event::failure: final_event_ = event; break;
    }
  }
}

ROOST_DECL void LinkConversation::on_message() {
  Message message = reader_.take_message();
  if (is_discarding_) return;
  ++handed_over_.messages;
  handed_over_.bytes += message.payload.size();
  inbox_->message = std::move(message);
}

ROOST_DECL void LinkConversation::proceed() {
  // First of all, for whoever receives takes as much as there is.
  if (inbox_->message) hand_over();
  if (link_.is_down()) return;  // it may also end all this
  if (final_event_ != Event::none) return finish();
  if (answers_too_much_) {
    return link_.when_relieved([this, self = shared_from_this()] {
      answers_too_much_ = false;
      go_on();
    });
  }
  if (!has_space()) {
    return when_notified(space_, link_.get_executor(), link_.clock(), Timer::never(),
                         [this, self = shared_from_this()](bool) { go_on(); });
  }
  if (pending_.empty()) return read();
  boost::asio::post(link_.get_executor(), [this, self = shared_from_this()] { go_on(); });
}

ROOST_DECL void LinkConversation::hand_over() {
  try {
    inbox_->receiver.wake_here();
  } catch (...) {  // the application's; the conversation goes on
    boost::asio::post(link_.get_executor(), [this, self = shared_from_this()] { go_on(); });
    throw;
  }
}

ROOST_DECL void LinkConversation::go_on() {
  if (link_.is_down()) return;
  handed_over_ = {};
  if (has_space()) consume_pending();
  proceed();
}

ROOST_DECL void LinkConversation::read() {
  // Bounds what is kept behind a message that nobody takes, and reads a large one in large pieces.
  constexpr std::size_t usual = 16'384;
  constexpr std::size_t largest = 65'536;
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(reader_.expected() + usual, largest));
  link_.receive(size,
                [this, self = shared_from_this()](error_code error, std::span<std::byte> bytes) {
                  if (error) return on_read_failed(error);
                  consume(bytes);
                  pending_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                  handed_over_ = {};
                  proceed();
                });
}

ROOST_DECL void LinkConversation::on_read_failed(error_code error) {
  end({});
  // A peer that sends no more may still read: what is queued for it leaves first. An end of the
  // stream, with TLS also one without notice, is no error of the system.
  const bool is_lost = error.category() == boost::system::system_category();
  if (is_lost || link_.outbox().empty()) return link_.close();
  linger();
}

ROOST_DECL void LinkConversation::finish() {
  const std::uint16_t code = reader_.close_code();
  const bool is_failure = final_event_ == Event::failure;
  end({.reason = !is_failure                           ? DisconnectReason::peer_closed
                 : code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                       : DisconnectReason::protocol_error,
       .code = code,
       .text = is_failure ? std::string() : std::string(reader_.close_reason())});
  link_.send_close(Frame::close(code));  // the answer, unless one is sent already
  linger();
}

ROOST_DECL void LinkConversation::linger() {
  if (link_.is_down()) return;
  is_finishing_ = true;
  boost::asio::co_spawn(
      link_.get_executor(), Link::linger(std::static_pointer_cast<Link>(channel_)),
      [self = shared_from_this(), running = Running(link_.get_executor())](std::exception_ptr) {});
}

}  // namespace roost::detail
