// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/message_reader.hpp"
#include "roost/beast/transport/link.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// A conversation over a `Link`: frames go straight to it, and come straight from it.
class LinkConversation final : public Conversation, private Link::Listener {
 public:
  /// @param form                  how messages to the peer are compressed; 0: neither side
  /// compresses
  /// @param keeps_client_context  whether the peer may refer to messages before the one it sends
  LinkConversation(const std::shared_ptr<Link>& link, FrameForm form,
                   bool keeps_client_context = false);
  ~LinkConversation() override;

  void set_max_message_bytes(std::size_t n) override { reader_.set_max_message_bytes(n); }
  [[nodiscard]] FrameForm frame_form() const noexcept override { return form_; }
  void start() override;
  /// What has come already is looked at here and now, so that a burst of messages costs no turn of
  /// the loop each. What ends the conversation waits: whoever takes a message still gets that.
  void resume() override;

 private:
  using Event = MessageReader::Event;
  // In one turn: the loop has other work.
  static constexpr std::size_t max_messages = 16;
  static constexpr std::size_t max_bytes = 65'536;

  /// Whether a message would find room, or need none.
  [[nodiscard]] bool has_space() const noexcept { return is_discarding_ || !inbox_->message; }
  /// Takes what can be taken from the front of @p bytes. Ends nothing.
  void consume(std::span<std::byte>& bytes);
  void consume_pending();
  void on_message();
  /// Hands over what there is, and arranges for what must come before there can be more.
  void proceed();
  /// Whoever waits for a message goes on at once.
  void hand_over();
  /// That has come.
  void go_on();
  void read();
  void on_read_failed(error_code error);
  /// The peer has closed, or broken a rule.
  void finish();
  /// What is queued still leaves, for at most `send_timeout`; then the link is closed.
  void linger();

  void on_link_down() override { on_channel_down(); }

  Link& link_;
  const FrameForm form_;
  MessageReader reader_;
  std::string pending_;              // what has come and is not looked at yet,
  std::size_t consumed_ = 0;         // from here on
  Event final_event_ = Event::none;  // how it is to end
  bool answers_too_much_ = false;    // pongs must leave before more is read
  struct {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  } handed_over_;  // in this turn of the loop
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/link_conversation.ipp"
#endif
