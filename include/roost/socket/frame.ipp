// SPDX-License-Identifier: MIT
#pragma once

#include <cstring>
#include <new>

#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/socket/frame.hpp"

namespace roost {

ROOST_DECL Frame Frame::encode(Opcode opcode, std::span<const std::byte> payload,
                               std::string_view key) {
  std::array<std::byte, 10> header{};
  const std::size_t header_size = encode_header(header, opcode, payload.size());
  Frame frame(header_size, payload.size(), key);
  std::memcpy(frame.data(), header.data(), header_size);
  if (!payload.empty()) std::memcpy(frame.data() + header_size, payload.data(), payload.size());
  return frame;
}

ROOST_DECL Frame Frame::close(std::uint16_t code, std::string_view reason) {
  if (!close_code::may_be_sent(code)) return encode(Opcode::close, std::string_view{});
  reason = clip_close_reason(reason);
  std::array<char, 125> payload{};
  payload[0] = static_cast<char>(code >> 8);
  payload[1] = static_cast<char>(code & 0xFF);
  reason.copy(payload.data() + 2, reason.size());
  return encode(Opcode::close, std::string_view(payload.data(), reason.size() + 2));
}

ROOST_DECL Frame::Frame(std::size_t header_size, std::size_t payload_size, std::string_view key)
    : block_(allocate(key.size(), header_size + payload_size)),
      begin_(reinterpret_cast<std::byte*>(block_ + 1) + key.size()),
      header_size_(header_size & 0xF),
      size_((header_size + payload_size) & max_size) {
  if (!key.empty()) std::memcpy(begin_ - key.size(), key.data(), key.size());
}

ROOST_DECL Frame::Block* Frame::allocate(std::size_t key_size, std::size_t size) {
  const std::size_t bytes = sizeof(Block) + key_size + size;
  return ::new (::operator new(bytes)) Block(key_size, bytes);
}

ROOST_DECL std::size_t Frame::encode_header(std::array<std::byte, 10>& out, Opcode opcode,
                                            std::size_t length) noexcept {
  constexpr std::uint8_t final_fragment = 0x80;
  out[0] = std::byte(final_fragment | static_cast<std::uint8_t>(opcode));
  if (length < 126) {
    out[1] = std::byte(length);
    return 2;
  }
  const std::size_t bytes = length <= 0xFFFF ? 2 : 8;
  out[1] = std::byte(bytes == 2 ? 126 : 127);
  for (std::size_t i = 0; i < bytes; ++i) {
    out[2 + i] = std::byte(length >> (8 * (bytes - 1 - i)));
  }
  return 2 + bytes;
}

}  // namespace roost

namespace roost::detail {

ROOST_DECL Frame encode_text(std::string_view text, std::string_view key) {
  if (!is_utf8(text)) {
    throw Error(errc::invalid_utf8, "a text message of " + std::to_string(text.size()) + " bytes");
  }
  return Frame::text(text, key);
}

ROOST_WHEN_USED_DEF Frame encode_json(const nlohmann::json& value, std::string_view key) {
  return Frame::text(dump_json(value), key);
}

}  // namespace roost::detail
