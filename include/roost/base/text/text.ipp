// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <charconv>
#include <cstring>
#include <random>
#include <system_error>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/random.h>
#include <unistd.h>
#endif

#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

ROOST_DECL bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    // Most text is ASCII: test eight bytes at a time.
    while (text.size() >= 8) {
      std::uint64_t word;
      std::memcpy(&word, text.data(), 8);
      if ((word & 0x8080808080808080U) != 0) break;
      text.remove_prefix(8);
    }
    if (text.empty()) break;
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

ROOST_DECL bool has_control(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (is_control(text, length)) return true;
    text.remove_prefix(length);
  }
  return false;
}

inline constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ROOST_DECL std::string base64_encode(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= count ? base64_alphabet[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

ROOST_DECL std::optional<std::string> base64_decode(std::string_view text) {
  static constexpr std::uint8_t none = 64;
  static constexpr auto values = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(none);
    for (std::size_t i = 0; i < base64_alphabet.size(); ++i) {
      table[static_cast<std::uint8_t>(base64_alphabet[i])] = static_cast<std::uint8_t>(i);
    }
    return table;
  }();
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  text.remove_suffix(padding);

  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::uint8_t value = values[static_cast<std::uint8_t>(c)];
    if (value == none) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
    bits &= (1U << count) - 1;
  }
  if (bits != 0) return std::nullopt;
  return bytes;
}

ROOST_DECL std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
      return std::nullopt;
    }
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

ROOST_DECL std::string escape_for_log(std::string_view value) {
  constexpr std::size_t longest = 256;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  const auto escape = [&](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  };
  std::string_view rest = value.substr(0, longest);
  while (!rest.empty()) {
    const std::size_t length = utf8_sequence(rest);
    const bool is_quoting = rest.front() == '"' || rest.front() == '\\';
    if (length == 0 || is_quoting) {
      escape(rest.front());
      rest.remove_prefix(1);
    } else {
      for (std::size_t i = 0; i < length; ++i) {
        if (is_control(rest, length)) {
          escape(rest[i]);
        } else {
          out += rest[i];
        }
      }
      rest.remove_prefix(length);
    }
  }
  if (value.size() > longest) out += "...";
  return out;
}

ROOST_DECL std::string describe(const std::exception_ptr& error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

/// Fills @p words from the system's generator of random bytes.
ROOST_DECL void fill_randomly(std::array<std::uint32_t, 4>& words) {
#if defined(__linux__) || defined(__APPLE__)
  // `std::random_device` may ask the processor, which takes microseconds for each word.
  if (::getentropy(words.data(), sizeof words) == 0) return;
#endif
  std::random_device device;
  static_assert(std::random_device::max() >= 0xFFFFFFFFU);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(device());
}

ROOST_WHEN_USED_DEF std::string random_id() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string id(32, '0');
  auto digit = id.begin();
  std::array<std::uint32_t, 4> words{};
  fill_randomly(words);
  for (const std::uint32_t bits : words) {
    for (int shift = 28; shift >= 0; shift -= 4) *digit++ = digits[(bits >> shift) & 15];
  }
  return id;
}

ROOST_DECL void validate_name(std::string_view name, std::size_t max_bytes, errc error,
                              const char* what) {
  const auto fail = [&](const std::string& why) {
    throw Error(error, std::string(what) + " \"" + escape_for_log(name) + "\" " + why);
  };
  if (name.empty()) fail("is empty");
  if (name.size() > max_bytes) {
    fail("has " + std::to_string(name.size()) + " bytes, " + std::to_string(max_bytes) +
         " are allowed");
  }
  for (std::string_view rest = name; !rest.empty();) {
    const std::size_t length = utf8_sequence(rest);
    if (length == 0) fail("is not UTF-8");
    if (is_control(rest, length)) fail("has a control character");
    rest.remove_prefix(length);
  }
}

ROOST_DECL void validate_room_name(std::string_view name, std::size_t max_bytes) {
  validate_name(name, max_bytes, errc::invalid_room_name, "room");
}

ROOST_DECL void validate_connection_id(std::string_view id) {
  constexpr std::size_t max_bytes = 255;
  validate_name(id, max_bytes, errc::invalid_connection_id, "id");
}

ROOST_DECL void validate_user(std::string_view user) {
  constexpr std::size_t max_bytes = 255;
  validate_name(user, max_bytes, errc::invalid_user, "user");
}

ROOST_DECL void validate_rule_rooms(std::string_view rooms, std::string_view rule) {
  check_option(!rooms.empty() && is_utf8(rooms) && !has_control(rooms), rule,
               ".rooms must be text without control characters, not empty");
  check_option(rooms.find('*') >= rooms.size() - 1, rule, ".rooms may have a * at its end only");
}

}  // namespace roost::detail
