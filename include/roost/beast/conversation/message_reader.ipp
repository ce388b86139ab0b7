// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>

#include "roost/base/text/text.hpp"
#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/conversation/message_reader.hpp"

namespace roost::detail {

/// Removes the mask of a client's payload (RFC 6455, section 5.3).
/// @param position  the position of @p bytes in the payload, modulo 4
ROOST_DECL void unmask(std::span<std::byte> bytes, std::span<const std::byte, 4> mask,
                       std::size_t position) noexcept {
  std::array<std::byte, 8> key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = mask[(position + i) % mask.size()];
  std::uint64_t key_word;
  std::memcpy(&key_word, key.data(), key.size());
  std::size_t i = 0;
  for (; i + key.size() <= bytes.size(); i += key.size()) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    word ^= key_word;
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
  for (std::size_t k = 0; i < bytes.size(); ++i, ++k) bytes[i] ^= key[k];
}

ROOST_DECL MessageReader::Event MessageReader::next(std::span<std::byte>& bytes) {
  while (!bytes.empty()) {
    Event event = Event::none;
    if (!is_in_payload_) {
      if (!take_header(bytes)) return Event::none;
      event = begin_frame();
    }
    if (is_in_payload_) event = take_payload(bytes);
    if (event != Event::none) return event;
  }
  return Event::none;
}

ROOST_DECL std::size_t MessageReader::header_length() const noexcept {
  if (header_size_ < 2) return 2;
  const unsigned length = head(1) & 0x7FU;
  return 2 +
         (length == 126   ? 2U
          : length == 127 ? 8U
                          : 0U) +
         ((head(1) & mask_bit) != 0 ? mask_size : 0U);
}

ROOST_DECL std::uint64_t MessageReader::payload_length() const noexcept {
  const unsigned length = head(1) & 0x7FU;
  if (length < 126) return length;
  std::uint64_t extended = 0;
  for (std::size_t i = 2; i < (length == 126 ? 4U : 10U); ++i) extended = extended << 8U | head(i);
  return extended;
}

ROOST_DECL bool MessageReader::take_header(std::span<std::byte>& bytes) noexcept {
  while (header_size_ < header_length()) {
    if (bytes.empty()) return false;
    const std::size_t n = std::min(header_length() - header_size_, bytes.size());
    std::memcpy(header_.data() + header_size_, bytes.data(), n);
    header_size_ = static_cast<std::uint8_t>(header_size_ + n);
    bytes = bytes.subspan(n);
  }
  return true;
}

ROOST_DECL MessageReader::Event MessageReader::begin_frame() {
  const std::uint64_t length = payload_length();
  const bool is_compressed = (head(0) & compressed_bit) != 0;
  // A length must have its shortest form, and its most significant bit must be 0 (section 5.2).
  const bool is_shortest = (head(1) & 0x7FU) < 126 || length > ((head(1) & 1U) ? 0xFFFF : 125);
  const bool is_length = is_shortest && length >> 63U == 0;
  if ((head(0) & other_reserved_bits) != 0 || (head(1) & mask_bit) == 0 || !is_length) {
    return fail(close_code::protocol_error);
  }
  if (is_control()) {
    if (opcode() > 10 || !is_final() || length > 125 || is_compressed) {
      return fail(close_code::protocol_error);
    }
    control_.clear();
  } else {
    const bool is_continuation = opcode() == 0;
    if (opcode() > 2 || is_continuation != is_in_message_ ||
        (is_compressed && (is_continuation || !inflates_))) {
      return fail(close_code::protocol_error);
    }
    if (!is_continuation) {
      is_in_message_ = true;
      is_text_ = opcode() == static_cast<std::uint8_t>(Opcode::text);
      is_compressed_ = is_compressed;
    }
    const std::size_t limit = max_wire_bytes();
    if (length > limit || payload_.size() > limit - length) {
      return fail(close_code::message_too_big);
    }
  }
  remaining_ = length;
  mask_position_ = 0;
  is_in_payload_ = true;
  return Event::none;
}

ROOST_DECL MessageReader::Event MessageReader::take_payload(std::span<std::byte>& bytes) {
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
  const auto part = bytes.first(n);
  unmask(part, std::span(header_).subspan(header_size_ - mask_size).first<mask_size>(),
         mask_position_);
  mask_position_ = (mask_position_ + n) % mask_size;
  (is_control() ? control_ : payload_).append(reinterpret_cast<const char*>(part.data()), n);
  bytes = bytes.subspan(n);
  remaining_ -= n;
  return remaining_ == 0 ? end_frame() : Event::none;
}

ROOST_DECL MessageReader::Event MessageReader::end_frame() {
  is_in_payload_ = false;
  header_size_ = 0;
  switch (opcode()) {
    case static_cast<std::uint8_t>(Opcode::close): return end_close();
    case static_cast<std::uint8_t>(Opcode::ping): return Event::ping;
    case static_cast<std::uint8_t>(Opcode::pong): return Event::pong;
    default: return is_final() ? end_message() : Event::none;
  }
}

ROOST_DECL MessageReader::Event MessageReader::end_close() {
  if (control_.empty()) return Event::close;
  if (control_.size() == 1) return fail(close_code::protocol_error);
  close_code_ = static_cast<std::uint16_t>(static_cast<unsigned char>(control_[0]) << 8 |
                                           static_cast<unsigned char>(control_[1]));
  if (!close_code::may_be_sent(close_code_) || !is_utf8(close_reason())) {
    return fail(close_code::protocol_error);
  }
  return Event::close;
}

ROOST_DECL MessageReader::Event MessageReader::end_message() {
  is_in_message_ = false;
  if (is_compressed_) {
    std::string inflated;
    switch (inflate(payload_, inflated, max_message_bytes_, context_.get())) {
      case Inflated::whole: break;
      case Inflated::malformed: return fail(close_code::invalid_payload);
      case Inflated::too_big: return fail(close_code::message_too_big);
    }
    payload_ = std::move(inflated);
  }
  if (is_text_ && !is_utf8(payload_)) return fail(close_code::invalid_payload);
  return Event::message;
}

ROOST_DECL Message MessageReader::take_message() noexcept {
  return {.is_text = is_text_, .payload = std::exchange(payload_, std::string())};
}

ROOST_DECL MessageReader::Event MessageReader::fail(std::uint16_t code) noexcept {
  close_code_ = code;
  std::string().swap(payload_);
  return Event::failure;
}

ROOST_DECL std::size_t MessageReader::max_wire_bytes() const noexcept {
  constexpr std::size_t most = static_cast<std::size_t>(-1) / 2;
  if (max_message_bytes_ == 0 || max_message_bytes_ > most / 2) return most;
  return is_compressed_ ? max_deflated_bytes(max_message_bytes_) : max_message_bytes_;
}

}  // namespace roost::detail
