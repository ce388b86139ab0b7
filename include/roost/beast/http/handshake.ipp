// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/websocket/error.hpp>
#include <charconv>
#include <cstddef>
#include <utility>

#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/target.hpp"

namespace roost::detail {

inline constexpr std::string_view nonce_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Without the white space around it (RFC 9110, section 5.6.3).
ROOST_DECL std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Whether @p list, the value of a header, has this token in any case. Empty elements are skipped
/// (RFC 9110, section 5.6.1).
ROOST_DECL bool has_token(std::string_view list, std::string_view token) noexcept {
  while (true) {
    const std::size_t comma = list.find(',');
    if (equals_in_any_case(trimmed(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

ROOST_DECL bool any_line_has(const RequestHeader& request, boost::beast::http::field name,
                             std::string_view token) {
  const auto range = request.equal_range(name);
  return std::any_of(range.first, range.second,
                     [&](const auto& header) { return has_token(to_std(header.value()), token); });
}

ROOST_DECL bool asks_for_websocket(const RequestHeader& request) {
  using boost::beast::http::field;
  return request.version() >= 11 && request.method() == boost::beast::http::verb::get &&
         any_line_has(request, field::connection, "upgrade") &&
         any_line_has(request, field::upgrade, "websocket");
}

/// Whether it may stand in a `Host` header: host and port, not empty, nothing else.
ROOST_DECL bool is_authority(std::string_view text) noexcept {
  const auto is_wrong = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f' ||
           std::string_view(",/?#@\\<>\"").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::none_of(text.begin(), text.end(), is_wrong);
}

ROOST_DECL Refusal bad_target() {
  return {.status = 400,
          .error = boost::beast::http::error::bad_target,
          .why = "the request target is neither a path nor a URL"};
}

/// From `ws://host/path?query` to `/path?query`; the rest goes into the `Host` header.
ROOST_DECL std::optional<Refusal> leave_absolute_form(RequestHeader& request) {
  constexpr std::array<std::string_view, 4> schemes{"ws://", "wss://", "http://", "https://"};
  const std::string target(to_std(request.target()));
  const auto* const scheme = std::find_if(schemes.begin(), schemes.end(), [&](auto candidate) {
    return equals_in_any_case(target.substr(0, candidate.size()), candidate);
  });
  if (scheme == schemes.end()) return bad_target();
  const std::string_view rest = std::string_view(target).substr(scheme->size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (!is_authority(authority)) return bad_target();
  std::string path(rest.substr(authority.size()));
  if (!path.starts_with('/')) path.insert(0, 1, '/');
  request.set(boost::beast::http::field::host,
              boost::beast::string_view(authority.data(), authority.size()));
  request.target(path);
  return std::nullopt;
}

/// Makes one line of all header lines of a name. For a list that is what they mean (RFC 9110,
/// section 5.3). For a header that may be there once only, such as `Host`, the result is no valid
/// value, so that no line is preferred to another.
ROOST_DECL void join_repeated(boost::beast::http::fields& fields, boost::beast::http::field name) {
  if (fields.count(name) < 2) return;
  std::string all;
  const auto range = fields.equal_range(name);
  for (auto header = range.first; header != range.second; ++header) {
    if (header != range.first) all += ", ";
    all += to_std(header->value());
  }
  fields.set(name, all);
}

/// Joins the lines of each header that decides about an upgrade. Subprotocols stay as they came:
/// whoever asks for them looks at all lines.
ROOST_DECL void join_upgrade_headers(boost::beast::http::fields& fields) {
  using boost::beast::http::field;
  for (const field name :
       {field::origin, field::host, field::connection, field::upgrade, field::sec_websocket_key,
        field::sec_websocket_version, field::sec_websocket_extensions}) {
    join_repeated(fields, name);
  }
}

ROOST_DECL std::optional<Refusal> normalise(RequestHeader& request) {
  namespace http = boost::beast::http;
  join_upgrade_headers(request);
  const auto host = header_value(request, "Host");
  if (request.version() >= 11 && !host) {
    return Refusal{.status = 400,
                   .error = boost::beast::websocket::error::no_host,
                   .why = "there must be a Host header"};
  }
  if (host && !host->empty() && !is_authority(*host)) {
    return Refusal{.status = 400,
                   .error = http::error::bad_value,
                   .why = "there must be one Host header, with a host and no more"};
  }
  const std::string_view target = to_std(request.target());
  if (target.find('#') != std::string_view::npos) return bad_target();
  if (target.starts_with('/') || target == "*" || request.method() == http::verb::connect) {
    return std::nullopt;
  }
  return leave_absolute_form(request);
}

/// 16 bytes in base64. The bits that encode nothing may be anything: there are clients that make up
/// the text, not the bytes.
ROOST_DECL bool is_nonce(std::string_view key) noexcept {
  constexpr std::size_t digits = 22;
  if (key.size() != digits + 2 || !key.ends_with("==")) return false;
  key.remove_suffix(2);
  return key.find_first_not_of(nonce_alphabet) == std::string_view::npos;
}

ROOST_DECL std::optional<Refusal> check_handshake(const RequestHeader& request) {
  using boost::beast::websocket::error;
  const auto version = header_value(request, "Sec-WebSocket-Version");
  if (!version) {
    return Refusal{.status = 400,
                   .error = error::no_sec_version,
                   .why = "there must be a Sec-WebSocket-Version header"};
  }
  if (version->find(',') != std::string_view::npos) {
    return Refusal{.status = 400,
                   .error = error::bad_sec_version,
                   .why = "there must be one Sec-WebSocket-Version"};
  }
  if (*version != "13") {
    return Refusal{
        .status = 426, .error = error::bad_sec_version, .why = "Sec-WebSocket-Version must be 13"};
  }
  const auto key = header_value(request, "Sec-WebSocket-Key");
  if (!key) {
    return Refusal{.status = 400,
                   .error = error::no_sec_key,
                   .why = "there must be a Sec-WebSocket-Key header"};
  }
  if (!is_nonce(*key)) {
    return Refusal{.status = 400,
                   .error = error::bad_sec_key,
                   .why = "Sec-WebSocket-Key must be 16 bytes in base64"};
  }
  return std::nullopt;
}

// --- subprotocols ---

/// The first subprotocol that the client offers and that satisfies @p predicate.
template <class Predicate>
std::optional<std::string> find_subprotocol(const RequestHeader& request, Predicate predicate) {
  const auto range = request.equal_range(boost::beast::http::field::sec_websocket_protocol);
  for (auto header = range.first; header != range.second; ++header) {
    for (const auto& offered : boost::beast::http::token_list(header->value())) {
      if (predicate(to_std(offered))) return std::string(to_std(offered));
    }
  }
  return std::nullopt;
}

ROOST_DECL std::string choose_subprotocol(const RequestHeader& request, Names spoken) {
  for (const std::string_view candidate : spoken) {
    const auto is_it = [&](std::string_view offered) { return offered == candidate; };
    if (find_subprotocol(request, is_it)) return std::string(candidate);
  }
  return {};
}

ROOST_DECL std::optional<std::string> subprotocol_after(const RequestHeader& request,
                                                        std::string_view prefix) {
  auto found = find_subprotocol(
      request, [&](std::string_view offered) { return offered.starts_with(prefix); });
  if (found) found->erase(0, prefix.size());
  return found;
}

// --- compression ---

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
