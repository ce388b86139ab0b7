// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace load {

// The key of the example in RFC 6455, section 1.3, and the answer to it.
inline constexpr std::string_view handshake_key = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view handshake_answer = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// Without context takeover a message is the same bytes for all, and is inflated once here.
inline constexpr std::string_view deflate_request =
    "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover";
inline constexpr std::string_view deflate_answer = "permessage-deflate";

inline std::string upgrade_request(std::string_view path, bool deflate) {
  std::string request("GET ");
  request.append(path).append(
      " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
  request.append(handshake_key);
  if (deflate) request.append(deflate_request);
  return request.append("\r\n\r\n");
}

enum Opcode : std::uint8_t { text = 1, close = 8, ping = 9, pong = 10 };

/// Appends a frame as a client sends it: masked (RFC 6455, section 5.3).
/// @pre @p payload is shorter than 64 KiB
inline void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  static constexpr std::array<unsigned char, 4> mask = {0x37, 0xfa, 0x21, 0x3d};
  const auto push = [&](std::size_t byte) { out.push_back(static_cast<char>(byte & 0xFF)); };
  push(0x80u | opcode);
  if (payload.size() < 126) {
    push(0x80u | payload.size());
  } else {
    push(0x80u | 126u);
    push(payload.size() >> 8);
    push(payload.size());
  }
  for (const unsigned char byte : mask) push(byte);
  const std::size_t start = out.size();
  out.append(payload);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out[start + i] = static_cast<char>(out[start + i] ^ mask[i % 4]);
  }
}

/// The head of a frame that a server sent.
struct FrameHead {
  enum class Status { complete, partial, invalid };
  Status status;
  Opcode opcode = text;
  bool is_compressed = false;  ///< RSV1, RFC 7692.
  std::size_t header_size = 0;
  std::size_t payload_size = 0;
};

/// Looks at what may be the beginning of a frame. Fragments, masked frames and further reserved
/// bits are invalid: none of the servers has a reason to send them.
inline FrameHead parse_frame(const char* data, std::size_t size) noexcept {
  using Status = FrameHead::Status;
  if (size < 2) return {Status::partial};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(data[i]); };
  if ((byte(0) & 0xB0) != 0x80 || (byte(1) & 0x80) != 0) return {Status::invalid};
  std::size_t header = 2;
  std::size_t length = byte(1);
  if (length >= 126) {
    const std::size_t extended = length == 126 ? 2 : 8;
    header += extended;
    if (size < header) return {Status::partial};
    length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length << 8 | byte(2 + i);
  }
  const bool is_whole = size >= header && size - header >= length;
  return {is_whole ? Status::complete : Status::partial, static_cast<Opcode>(byte(0) & 0x0F),
          (byte(0) & 0x40) != 0, header, length};
}

}  // namespace load
