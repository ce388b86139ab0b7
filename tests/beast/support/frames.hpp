// SPDX-License-Identifier: MIT
// WebSocket frames by hand: those of a client, right or wrong, and a strict reading of a server's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <roost/socket/frame.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::test {

struct ClientFrameOptions {
  bool is_final = true;
  unsigned reserved_bits = 0;
  bool is_masked = true;
  /// What the header claims; by default the truth.
  std::optional<std::uint64_t> length = {};
};

/// A frame as a client sends it (RFC 6455, section 5.2). Opcode 0 is a continuation.
inline std::string client_frame(unsigned opcode, std::string_view payload,
                                const ClientFrameOptions& options = {}) {
  constexpr std::string_view mask = "\x12\x34\x56\x78";
  const std::uint64_t length = options.length.value_or(payload.size());
  std::string out;
  out += static_cast<char>((options.is_final ? 0x80U : 0U) | options.reserved_bits << 4U | opcode);
  const unsigned mask_bit = options.is_masked ? 0x80U : 0U;
  int bytes = 0;
  if (length < 126) {
    out += static_cast<char>(mask_bit | length);
  } else {
    bytes = length <= 0xFFFF ? 2 : 8;
    out += static_cast<char>(mask_bit | (bytes == 2 ? 126U : 127U));
  }
  while (bytes-- > 0) out += static_cast<char>(length >> (8 * bytes) & 0xFF);
  if (!options.is_masked) return out.append(payload);
  out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return out;
}

inline std::string client_frame(Opcode opcode, std::string_view payload,
                                const ClientFrameOptions& options = {}) {
  return client_frame(static_cast<unsigned>(opcode), payload, options);
}

inline std::string text_frame(std::string_view text) { return client_frame(Opcode::text, text); }

inline std::string close_payload(std::uint16_t code, std::string_view reason = {}) {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xFF)};
  return payload.append(reason);
}
inline std::string close_frame(std::uint16_t code, std::string_view reason = {}) {
  return client_frame(Opcode::close, close_payload(code, reason));
}

struct ServerFrame {
  Opcode opcode;
  std::string payload;
  bool is_compressed = false;

  /// Of a close frame; 1005 if it names none.
  std::uint16_t code() const {
    if (payload.size() < 2) return close_code::no_status;
    return static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                      static_cast<unsigned char>(payload[1]));
  }
  std::string reason() const { return payload.size() < 2 ? "" : payload.substr(2); }
};

/// Reads what a server sends, and takes offence at whatever roost must not send.
class FrameParser {
 public:
  void feed(std::string_view bytes) {
    pending_.append(bytes);
    while (error_.empty() && take_frame()) {
    }
    pending_.erase(0, std::exchange(position_, 0));
  }

  const std::vector<ServerFrame>& frames() const { return frames_; }
  /// Empty as long as all was well.
  const std::string& error() const { return error_; }
  /// Compression was agreed on: messages may be compressed.
  void allow_compression() { allows_compression_ = true; }
  /// Whether the last frame is complete.
  bool is_at_boundary() const { return pending_.empty(); }

 private:
  std::uint8_t byte(std::size_t i) const { return static_cast<std::uint8_t>(pending_[i]); }
  std::size_t available() const { return pending_.size() - position_; }

  bool take_frame() {
    if (available() < 2) return false;
    const unsigned first = byte(position_);
    std::uint64_t length = byte(position_ + 1);
    const std::size_t extended = length == 126 ? 2U : length == 127 ? 8U : 0U;
    if (first < 0x80) return fail("a fragment, or no frame at all");
    const bool is_compressed = (first & 0x40U) != 0;
    if ((first & 0x30U) != 0 || (is_compressed && !allows_compression_)) {
      return fail("a reserved bit");
    }
    if (length >= 0x80) return fail("a masked frame");
    if (available() < 2 + extended) return false;
    const auto opcode = static_cast<Opcode>(first & 0x0FU);
    const bool is_control = opcode >= Opcode::close;
    if (is_control && is_compressed) return fail("a compressed control frame");
    if (is_control && length > 125) return fail("a control frame of more than 125 bytes");
    if (extended > 0) length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length << 8U | byte(position_ + 2 + i);
    if (available() < 2 + extended + length) return false;
    if (opcode != Opcode::text && opcode != Opcode::binary && opcode != Opcode::close &&
        opcode != Opcode::ping && opcode != Opcode::pong) {
      return fail("an unknown opcode");
    }
    if (!frames_.empty() && frames_.back().opcode == Opcode::close) {
      return fail("a frame after the close frame");
    }
    frames_.push_back({opcode, pending_.substr(position_ + 2 + extended, length), is_compressed});
    position_ += 2 + extended + length;
    return true;
  }

  bool fail(std::string what) {
    error_ = std::move(what);
    return false;
  }

  std::string pending_;
  bool allows_compression_ = false;
  std::size_t position_ = 0;
  std::vector<ServerFrame> frames_;
  std::string error_;
};

}  // namespace roost::test
