// SPDX-License-Identifier: MIT
#pragma once

#include "roost/beast/conversation/link_conversation.hpp"

namespace roost::detail {

ROOST_DECL LinkConversation::LinkConversation(const std::shared_ptr<Link>& link, FrameForm form,
                                              bool keeps_client_context)
    : Conversation(link),
      link_(*link),
      form_(form),
      reader_(link->options().max_message_bytes, /*inflates=*/form != 0, keeps_client_context) {}

ROOST_DECL LinkConversation::~LinkConversation() {
  link_.set_owner(nullptr);
  link_.abort();
}

ROOST_DECL void LinkConversation::start_reading() {
  link_.set_owner(this);
  pending_ = link_.take_leftover();
  parse_pending();
  deliver();
}

ROOST_DECL void LinkConversation::resume() {
  const bool may_go_on = resumed_.messages < max_messages && resumed_.bytes < max_bytes;
  if (!link_.is_down() && may_go_on) parse_pending();
  if (link_.is_down() || has_space()) space_.notify_all();
}

// --- the steps ---

ROOST_DECL void LinkConversation::parse(std::span<std::byte>& bytes) {
  while (!bytes.empty() && has_space() && !answers_too_much_ && final_event_ == Event::none) {
    switch (const Event event = reader_.next(bytes)) {
      case Event::none: break;
      case Event::message: {
        Message message = reader_.take_message();
        if (is_discarding_) break;
        ++resumed_.messages;
        resumed_.bytes += message.payload.size();
        inbox_->message = std::move(message);
        break;
      }
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

ROOST_DECL void LinkConversation::parse_pending() {
  auto rest = std::as_writable_bytes(std::span(pending_)).subspan(parsed_);
  parse(rest);
  parsed_ = pending_.size() - rest.size();
  if (!rest.empty()) return;
  std::string().swap(pending_);  // an idle connection keeps no memory
  parsed_ = 0;
}

ROOST_DECL void LinkConversation::deliver() {
  resumed_ = {};
  try {
    if (inbox_->message) inbox_->receiver.wake_here();
  } catch (...) {  // thrown by the application; the conversation goes on
    yield();
    throw;
  }
  if (link_.is_down()) return;  // the application may have ended it
  if (final_event_ != Event::none) return end_by_peer();
  if (answers_too_much_) return wait_for_pongs();
  if (!has_space()) return wait_until_taken();
  if (!pending_.empty()) return yield();
  read();
}

ROOST_DECL void LinkConversation::parse_and_deliver() {
  if (link_.is_down()) return;
  parse_pending();
  deliver();
}

// --- waiting ---

ROOST_DECL void LinkConversation::read() {
  // Bounds the bytes buffered behind a message that is not taken, and reads a large message in
  // large pieces.
  constexpr std::size_t usual = 16'384;
  constexpr std::size_t largest = 65'536;
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(reader_.expected() + usual, largest));
  link_.receive(size,
                [this, self = shared_from_this()](error_code error, std::span<std::byte> bytes) {
                  if (error) return on_read_failed(error);
                  parse(bytes);
                  pending_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                  deliver();
                });
}

ROOST_DECL void LinkConversation::yield() {
  boost::asio::post(link_.get_executor(),
                    [this, self = shared_from_this()] { parse_and_deliver(); });
}

ROOST_DECL void LinkConversation::wait_until_taken() {
  when_notified(space_, link_.get_executor(), link_.clock(), Timer::never(),
                [this, self = shared_from_this()](bool) { parse_and_deliver(); });
}

ROOST_DECL void LinkConversation::wait_for_pongs() {
  link_.when_relieved([this, self = shared_from_this()] {
    answers_too_much_ = false;
    parse_and_deliver();
  });
}

// --- the end ---

ROOST_DECL void LinkConversation::end_by_peer() {
  const std::uint16_t code = reader_.close_code();
  const bool is_failure = final_event_ == Event::failure;
  inbox_->end({.reason = !is_failure                           ? DisconnectReason::peer_closed
                         : code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                               : DisconnectReason::protocol_error,
               .code = code,
               .text = is_failure ? std::string() : std::string(reader_.close_reason())});
  link_.send_close(Frame::close(code));  // the answer, unless one was sent already
  linger();
}

ROOST_DECL void LinkConversation::on_read_failed(error_code error) {
  inbox_->end({});
  // A peer that sends no more may still read: its queue is flushed first. The end of the stream,
  // with TLS also without a close_notify, is not an error of the system category.
  const bool is_lost = error.category() == boost::system::system_category();
  if (is_lost || link_.outbox().empty()) return link_.end();
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
