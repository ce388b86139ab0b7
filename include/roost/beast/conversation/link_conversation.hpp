// SPDX-License-Identifier: MIT
#pragma once

#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/message_reader.hpp"
#include "roost/beast/transport/link.hpp"

namespace roost::detail {

/// A conversation over a `Link`: frames are written to the link, and parsed from its bytes.
///
///   start_reading           .--> read               until bytes come ---------------.
///       v                   |--> yield              until the next turn of the loop |
///   .--> parse --> deliver -+--> wait_until_taken   until the message is taken -----|
///   |                       |--> wait_for_pongs     until the peer takes its pongs -|
///   |                       '--> end_by_peer        it has closed, or broke a rule  |
///   '-------------------------------------------------------------------------------'
///
/// `parse` stops after each message. `deliver` wakes the receiver, which takes the message and
/// calls `resume`, which parses the next message immediately. So a burst of messages does not cost
/// a turn of the loop for each. Then the conversation continues with the lowest line of the drawing
/// whose condition is true.
class LinkConversation final : public Conversation {
 public:
  /// @param form                  how messages to the peer are compressed; 0: no compression in
  ///                              either direction
  /// @param keeps_client_context  whether the peer's messages may refer to earlier ones
  LinkConversation(const std::shared_ptr<Link>& link, FrameForm form,
                   bool keeps_client_context = false);
  ~LinkConversation() override;

  void set_max_message_bytes(std::size_t n) override { reader_.set_max_message_bytes(n); }
  [[nodiscard]] FrameForm frame_form() const noexcept override { return form_; }
  void start_reading() override;
  /// Parses up to the next message among the bytes that have arrived. Does not end the
  /// conversation: the caller still gets the message that it takes.
  void resume() override;

 private:
  using Event = MessageReader::Event;
  // The limits for one turn: the loop has other work.
  static constexpr std::size_t max_messages = 16;
  static constexpr std::size_t max_bytes = 65'536;

  /// Whether the next message would be buffered or discarded.
  [[nodiscard]] bool has_space() const noexcept { return is_discarding_ || !inbox_->message; }

  /// Parses from the front of @p bytes, up to a message or the end. Does not end the conversation.
  void parse(std::span<std::byte>& bytes);
  /// Parses the bytes that have arrived before.
  void parse_pending();
  void deliver();
  void parse_and_deliver();

  void read();
  void yield();
  void wait_until_taken();
  void wait_for_pongs();
  void end_by_peer();
  void on_read_failed(error_code error);
  /// Flushes the queue within `send_timeout`, then closes the link.
  void linger();

  Link& link_;
  const FrameForm form_;
  MessageReader reader_;
  std::string pending_;              // bytes that have arrived; parsed
  std::size_t parsed_ = 0;           // up to here
  Event final_event_ = Event::none;  // how the conversation is to end
  bool answers_too_much_ = false;    // pongs must leave before more is parsed
  struct {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  } resumed_;  // messages delivered by `resume` since `deliver`
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/link_conversation.ipp"
#endif
