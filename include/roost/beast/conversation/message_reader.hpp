// SPDX-License-Identifier: MIT
#pragma once

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

/// Parses the bytes of a client into messages (RFC 6455, section 5; RFC 7692 if compression was
/// negotiated). Has no socket: the caller feeds it bytes, and reacts to its events.
///
/// Keeps only the message being received, up to the limit (compressed: up to `max_deflated_bytes`
/// of the limit), and the context of compression if one was negotiated.
class MessageReader {
 public:
  enum class Event : std::uint8_t {
    none,     ///< All bytes are consumed, and nothing is complete.
    message,  ///< `take_message` returns a message.
    ping,     ///< `control_payload` is to be sent back.
    pong,     ///< `control_payload` has the payload of the pong.
    close,    ///< The last frame of the peer; see `close_code` and `close_reason`.
    failure,  ///< The peer broke a rule: close with `close_code`.
  };

  /// @param max_message_bytes  limit on a message; 0: no limit
  /// @param inflates           whether messages may be compressed
  /// @param keeps_context      whether compressed messages may refer to earlier ones, of which the
  ///                           last 32 KiB are kept
  MessageReader(std::size_t max_message_bytes, bool inflates, bool keeps_context = false)
      : max_message_bytes_(max_message_bytes),
        context_(keeps_context ? std::make_unique<std::string>() : nullptr),
        inflates_(inflates) {}

  /// Parses up to the next event, and removes the consumed bytes from the front of @p bytes. They
  /// are unmasked in place.
  /// @pre no `close` and no `failure` before
  Event next(std::span<std::byte>& bytes);

  /// Sets the limit from the next frame on. 0: no limit.
  void set_max_message_bytes(std::size_t n) noexcept { max_message_bytes_ = n; }

  /// A hint for the next read: how many bytes must arrive at least before the next event.
  [[nodiscard]] std::uint64_t expected() const noexcept { return remaining_; }

  [[nodiscard]] Message take_message() noexcept;
  /// The payload of a ping or pong; valid until `next`.
  [[nodiscard]] std::string_view control_payload() const noexcept { return control_; }
  /// The close code; 1005 if the peer named none.
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

  /// Parses a header.
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
  /// The length of the header, as far as its bytes tell yet.
  [[nodiscard]] std::size_t header_length() const noexcept;
  [[nodiscard]] std::uint64_t payload_length() const noexcept;
  /// How many bytes a message may have on the wire.
  [[nodiscard]] std::size_t max_wire_bytes() const noexcept;

  std::size_t max_message_bytes_;
  std::uint64_t remaining_ = 0;  // bytes left of this frame's payload
  std::string payload_;          // of the message being received, as it came
  std::string control_;
  std::unique_ptr<std::string> context_;  // end of the inflated messages; null: not kept
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
