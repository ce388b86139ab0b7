// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/string.hpp>
#include <charconv>
#include <cstddef>
#include <utility>

#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/negotiation.hpp"

namespace roost::detail {

/// Cuts @p text at the first @p separator outside of quotes, and leaves what follows it.
ROOST_DECL std::string_view take_until(std::string_view& text, char separator) noexcept {
  bool is_quoted = false;
  std::size_t i = 0;
  for (; i < text.size() && (is_quoted || text[i] != separator); ++i) {
    if (text[i] == '"') is_quoted = !is_quoted;
    if (text[i] == '\\' && is_quoted) ++i;
  }
  const std::string_view before = text.substr(0, i);
  text.remove_prefix(i < text.size() ? i + 1 : text.size());
  return trimmed(before);
}

/// A value as it is meant: without quotes and escapes (RFC 9110, section 5.6.4).
ROOST_DECL std::string unquoted(std::string_view text) {
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    out += text[i];
  }
  return out;
}

ROOST_DECL bool equals_in_any_case(std::string_view a, std::string_view b) noexcept {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

/// 8 to 15, without leading zeros (RFC 7692, section 7.1.2).
ROOST_DECL std::optional<unsigned> window_bits(const std::string& text) noexcept {
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.starts_with('0') || bits < 8 || bits > 15) return std::nullopt;
  return bits;
}

/// The parameters of one offer.
struct DeflateOffer {
  std::optional<unsigned> server_window_bits = {};
  bool has_client_window_bits = false;
  bool no_server_context = false;
  bool no_client_context = false;

  /// @returns false if the offer must be declined: it has a parameter that there is not, twice, or
  ///          with a value that it must not have.
  bool take(std::string_view name, const std::optional<std::string>& value) noexcept {
    if (equals_in_any_case(name, "server_no_context_takeover")) {
      return !value && !std::exchange(no_server_context, true);
    }
    if (equals_in_any_case(name, "client_no_context_takeover")) {
      return !value && !std::exchange(no_client_context, true);
    }
    if (equals_in_any_case(name, "client_max_window_bits")) {
      return (!value || window_bits(*value)) && !std::exchange(has_client_window_bits, true);
    }
    if (!equals_in_any_case(name, "server_max_window_bits") || !value || server_window_bits) {
      return false;
    }
    server_window_bits = window_bits(*value);
    return server_window_bits.has_value();
  }
};

/// @param offer  one element of the list of extensions
/// @returns nothing if it is for another extension, or must be declined
ROOST_DECL std::optional<DeflateOffer> read_offer(std::string_view offer) {
  if (!equals_in_any_case(take_until(offer, ';'), "permessage-deflate")) return std::nullopt;
  DeflateOffer parameters;
  while (!offer.empty()) {
    std::string_view parameter = take_until(offer, ';');
    const bool has_value = parameter.find('=') != std::string_view::npos;
    const std::string_view name = take_until(parameter, '=');
    std::optional<std::string> value;
    if (has_value) value = unquoted(trimmed(parameter));
    if (!parameters.take(name, value)) return std::nullopt;
  }
  return parameters;
}

/// What roost makes of an offer; nothing if it cannot keep it.
ROOST_DECL std::optional<AgreedDeflate> agree_on(const DeflateOffer& offer,
                                                 const Compression& compression) {
  const unsigned wanted = offer.server_window_bits.value_or(15);
  if (wanted < 9) return std::nullopt;  // 8 is what zlib cannot do
  AgreedDeflate agreed;
  agreed.keeps_client_context = compression.client_context_takeover && !offer.no_client_context;
  // A window that is asked for becomes one of few: a broadcast is compressed for each.
  agreed.server_window_bits = wanted == 15 ? 15 : wanted >= 12 ? 12 : 9;
  agreed.response = "permessage-deflate; server_no_context_takeover";
  if (!agreed.keeps_client_context) agreed.response += "; client_no_context_takeover";
  if (offer.server_window_bits) {
    agreed.response += "; server_max_window_bits=" + std::to_string(agreed.server_window_bits);
  }
  return agreed;
}

ROOST_DECL std::optional<AgreedDeflate> agree_on_deflate(
    std::string_view extensions, const std::optional<Compression>& compression) {
  if (!compression) return std::nullopt;
  while (!extensions.empty()) {
    const auto offer = read_offer(take_until(extensions, ','));
    if (!offer) continue;
    if (auto agreed = agree_on(*offer, *compression)) return agreed;
  }
  return std::nullopt;
}

ROOST_DECL FrameForm form_of(const std::optional<AgreedDeflate>& agreed,
                             const std::optional<Compression>& compression) noexcept {
  if (!agreed || !compression) return 0;
  const DeflateForm form{.window_bits = agreed->server_window_bits,
                         .level = compression->level,
                         .min_bytes = compression->min_bytes};
  return form.value();
}

}  // namespace roost::detail
