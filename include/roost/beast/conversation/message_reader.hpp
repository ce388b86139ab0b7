// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// What a client sends, from bytes to messages (RFC 6455, section 5; RFC 7692 where compression was
/// agreed on). Knows no socket: whoever has bytes feeds them, and does what the events ask for.
///
/// Keeps a message in the making, which is never larger than the limit (compressed: than
/// `max_deflated_bytes` of it), the context of compression if that was agreed on, and nothing else.
class MessageReader {
 public:
  enum class Event : std::uint8_t {
    none,     ///< All bytes are used up, and nothing is complete.
    message,  ///< `take_message` has it.
    ping,     ///< `control_payload` is to be sent back.
    pong,     ///< `control_payload` is what came.
    close,    ///< The peer's last frame; see `close_code` and `close_reason`.
    failure,  ///< The peer broke a rule, and is to be closed with `close_code`.
  };

  /// @param max_message_bytes  0: no limit
  /// @param inflates           whether messages may be compressed
  /// @param keeps_context      whether they may then refer to compressed messages before them, of
  ///                           which the last 32 KiB are kept
  MessageReader(std::size_t max_message_bytes, bool inflates, bool keeps_context = false)
      : max_message_bytes_(max_message_bytes),
        context_(keeps_context ? std::make_unique<std::string>() : nullptr),
        inflates_(inflates) {}

  /// Goes on to the next event, and takes what that used up from the front of @p bytes. They are
  /// unmasked where they are.
  /// @pre no `close` and no `failure` before
  Event next(std::span<std::byte>& bytes);

  /// From the next frame on. 0: no limit.
  void set_max_message_bytes(std::size_t n) noexcept { max_message_bytes_ = n; }

  /// How many bytes are known to come before the next event can; a hint for the next read.
  [[nodiscard]] std::uint64_t expected() const noexcept { return remaining_; }

  [[nodiscard]] Message take_message() noexcept;
  /// Valid until `next`.
  [[nodiscard]] std::string_view control_payload() const noexcept { return control_; }
  /// 1005: the peer named none.
  [[nodiscard]] std::uint16_t close_code() const noexcept { return close_code_; }
  [[nodiscard]] std::string_view close_reason() const noexcept {
    return control_.size() < 2 ? std::string_view() : std::string_view(control_).substr(2);
  }

 private:
  static constexpr std::uint8_t final_bit = 0x80;
  static constexpr std::uint8_t compressed_bit = 0x40;  // RSV1, RFC 7692, section 6
  static constexpr std::uint8_t other_reserved_bits = 0x30;
  static constexpr std::uint8_t mask_bit = 0x80;
  static constexpr std::size_t mask_size = 4;

  /// @returns whether the header is complete.
  bool take_header(std::span<std::byte>& bytes) noexcept;
  Event begin_frame();
  Event take_payload(std::span<std::byte>& bytes);
  Event end_frame();
  Event end_close();
  Event end_message();
  Event fail(std::uint16_t code) noexcept;

  [[nodiscard]] std::uint8_t head(std::size_t i) const noexcept {
    return std::to_integer<std::uint8_t>(header_[i]);
  }
  [[nodiscard]] bool is_final() const noexcept { return (head(0) & final_bit) != 0; }
  [[nodiscard]] std::uint8_t opcode() const noexcept { return head(0) & 0x0FU; }
  [[nodiscard]] bool is_control() const noexcept { return (head(0) & 0x08U) != 0; }
  /// How long the header is, as far as it tells yet.
  [[nodiscard]] std::size_t header_length() const noexcept;
  [[nodiscard]] std::uint64_t payload_length() const noexcept;
  /// What a message may take on the wire.
  [[nodiscard]] std::size_t max_wire_bytes() const noexcept;

  std::size_t max_message_bytes_;
  std::uint64_t remaining_ = 0;  // of the payload of this frame
  std::string payload_;          // of the message in the making; compressed, if it is
  std::string control_;
  std::unique_ptr<std::string> context_;  // the end of what was inflated; null: none is kept
  std::array<std::byte, 14> header_{};
  std::uint8_t header_size_ = 0;
  std::uint8_t mask_position_ = 0;
  std::uint16_t close_code_ = close_code::no_status;
  bool inflates_;
  bool is_in_payload_ = false;
  bool is_in_message_ = false;
  bool is_text_ = false;
  bool is_compressed_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/message_reader.ipp"
#endif
