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
///
///   start --.               .--> read               until bytes come ---------------.
///           v               |--> yield              until the next turn of the loop |
///   .--> parse --> deliver -+--> wait_until_taken   until the message is taken -----|
///   |                       |--> wait_for_pongs     until the peer takes its pongs -|
///   |                       '--> end_by_peer        it has closed, or broke a rule  |
///   '-------------------------------------------------------------------------------'
///
/// `parse` stops behind a message. `deliver` wakes the receiver, which takes the message and with
/// `resume` has the next one parsed immediately: a burst of messages costs no turn of the loop
/// each. Then the conversation goes on with the lowest line of the drawing that is true.
class LinkConversation final : public Conversation, private Link::Owner {
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
  /// Parses up to the next message, if there is one among the bytes that have come. Ends nothing:
  /// whoever takes a message still gets that.
  void resume() override;

 private:
  using Event = MessageReader::Event;
  // In one turn: the loop has other work.
  static constexpr std::size_t max_messages = 16;
  static constexpr std::size_t max_bytes = 65'536;

  /// Whether a message would find room, or need none.
  [[nodiscard]] bool has_space() const noexcept { return is_discarding_ || !inbox_->message; }

  /// Takes from the front of @p bytes what can be taken, up to a message or to the end. Ends
  /// nothing.
  void parse(std::span<std::byte>& bytes);
  /// The same, of what has come before.
  void parse_pending();
  void deliver();
  void parse_and_deliver();

  void read();
  void yield();
  void wait_until_taken();
  void wait_for_pongs();
  void end_by_peer();
  void on_read_failed(error_code error);
  /// What is queued still leaves, for at most `send_timeout`; then the link is closed.
  void linger();

  void on_link_down() override { on_channel_down(); }

  Link& link_;
  const FrameForm form_;
  MessageReader reader_;
  std::string pending_;              // what has come and is not parsed yet,
  std::size_t parsed_ = 0;           // from here on
  Event final_event_ = Event::none;  // how it is to end
  bool answers_too_much_ = false;    // pongs must leave before more is parsed
  struct {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  } resumed_;  // with these, since `deliver`
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/link_conversation.ipp"
#endif
