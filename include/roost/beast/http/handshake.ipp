// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/detail/hybi13.hpp>
#include <boost/beast/websocket/error.hpp>
#include <charconv>
#include <iterator>

#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/target.hpp"

namespace roost::detail {

/// @p text without the white space around it (RFC 9110, section 5.6.3).
ROOST_DECL std::string_view trimmed(std::string_view text) noexcept {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Whether @p list, the value of a header, contains a token in any case. Empty elements are skipped
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
  return std::any_of(request.begin(), request.end(), [&](const auto& line) {
    return line.name() == name && has_token(to_std(line.value()), token);
  });
}

ROOST_DECL bool asks_for_websocket(const RequestHeader& request) {
  using boost::beast::http::field;
  return request.version() >= 11 && request.method() == boost::beast::http::verb::get &&
         any_line_has(request, field::connection, "upgrade") &&
         any_line_has(request, field::upgrade, "websocket");
}

/// Whether @p text is a valid value of `Host`: a host with an optional port.
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

/// Turns the target `ws://host/path?query` into `/path?query`, and sets the `Host` header.
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

/// Joins all header lines of a name. For a list the meaning stays the same (RFC 9110, section 5.3).
/// For a header that may occur only once, such as `Host`, the result is an invalid value, so that
/// no line is preferred to another.
ROOST_DECL void join_lines(boost::beast::http::fields& fields, boost::beast::http::field name) {
  std::string all;
  const auto range = fields.equal_range(name);
  for (auto header = range.first; header != range.second; ++header) {
    if (header != range.first) all += ", ";
    all += to_std(header->value());
  }
  fields.set(name, all);
}

/// Joins the lines of each header that matters for an upgrade. Subprotocols are not joined: the
/// functions that read them look at all lines.
ROOST_DECL void join_upgrade_headers(boost::beast::http::fields& fields) {
  using boost::beast::http::field;
  constexpr std::array names{field::origin,
                             field::host,
                             field::connection,
                             field::upgrade,
                             field::sec_websocket_key,
                             field::sec_websocket_version,
                             field::sec_websocket_extensions};
  std::array<std::size_t, names.size()> lines{};
  for (const auto& line : fields) {
    const auto* const name = std::find(names.begin(), names.end(), line.name());
    if (name != names.end()) ++lines[static_cast<std::size_t>(name - names.begin())];
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (lines[i] > 1) join_lines(fields, names[i]);
  }
}

ROOST_DECL std::optional<Refusal> normalise(RequestHeader& request) {
  namespace http = boost::beast::http;
  join_upgrade_headers(request);
  const auto host = header_value(request, http::field::host);
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

/// Whether @p key is 16 bytes in base64. The unused bits may have any value: some clients make up
/// the text instead of the bytes.
ROOST_DECL bool is_nonce(std::string_view key) noexcept {
  constexpr std::size_t digits = 22;
  if (key.size() != digits + 2 || !key.ends_with("==")) return false;
  key.remove_suffix(2);
  return std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
}

ROOST_DECL std::optional<Refusal> check_handshake(const RequestHeader& request) {
  using boost::beast::http::field;
  using boost::beast::websocket::error;
  if (request.version() != 11) {
    return Refusal{.status = 400, .error = error::bad_http_version, .why = "HTTP must be 1.1"};
  }
  const auto version = header_value(request, field::sec_websocket_version);
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
  const auto key = header_value(request, field::sec_websocket_key);
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

ROOST_DECL Frame acceptance(const RequestHeader& request, std::string_view server,
                            std::string_view subprotocol,
                            const std::optional<AgreedDeflate>& deflate) {
  namespace websocket = boost::beast::websocket::detail;
  const std::string_view key =
      header_value(request, boost::beast::http::field::sec_websocket_key).value();
  websocket::sec_ws_accept_type proof;
  websocket::make_sec_ws_accept(proof, {key.data(), key.size()});
  const std::array<std::pair<std::string_view, std::string_view>, 6> headers{
      {{"Upgrade", "websocket"},
       {"Connection", "upgrade"},
       {"Sec-WebSocket-Accept", {proof.data(), proof.size()}},
       {"Server", server.empty() ? std::string_view(BOOST_BEAST_VERSION_STRING) : server},
       {"Sec-WebSocket-Protocol", subprotocol},
       {"Sec-WebSocket-Extensions", deflate ? std::string_view(deflate->response) : ""}}};
  // Twice: for the size, and for the bytes.
  const auto for_each_part = [&](auto f) {
    f("HTTP/1.1 101 Switching Protocols\r\n");
    for (const auto& [name, value] : headers) {
      if (value.empty()) continue;
      f(name), f(": "), f(value), f("\r\n");
    }
    f("\r\n");
  };
  std::size_t size = 0;
  for_each_part([&](std::string_view part) { size += part.size(); });
  Frame response = Frame::raw(size);
  auto* to = reinterpret_cast<char*>(response.data());
  for_each_part([&](std::string_view part) { to = std::copy(part.begin(), part.end(), to); });
  return response;
}

/// Erases the headers of the handshake: the request is kept as long as the connection.
ROOST_DECL void forget_handshake(RequestHeader& request) {
  using boost::beast::http::field;
  constexpr std::array names{field::connection, field::upgrade, field::sec_websocket_key,
                             field::sec_websocket_version, field::sec_websocket_extensions};
  for (auto line = request.begin(); line != request.end();) {
    const bool is_one = std::find(names.begin(), names.end(), line->name()) != names.end();
    line = is_one ? request.erase(line) : std::next(line);
  }
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

/// Returns @p text up to the first @p separator outside of quotes, and removes it from @p text.
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

/// The meaning of a parameter's value: without quotes and escapes (RFC 9110, section 5.6.4).
ROOST_DECL std::string unquoted(std::string_view text) {
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    out += text[i];
  }
  return out;
}

/// A number from 8 to 15 without leading zeros (RFC 7692, section 7.1.2).
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

  /// Reads a parameter.
  /// @returns false if the offer must be declined: the parameter is unknown, occurs twice, or has
  ///          an invalid value.
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

/// Reads an offer.
/// @param offer  one element of the list of extensions
/// @returns `nullopt` if it offers another extension, or must be declined.
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

/// The parameters for an offer; `nullopt` if roost cannot support it.
ROOST_DECL std::optional<AgreedDeflate> agree_on(const DeflateOffer& offer,
                                                 const Compression& compression) {
  const unsigned wanted = offer.server_window_bits.value_or(15);
  if (wanted < 9) return std::nullopt;  // zlib does not support 8
  AgreedDeflate agreed;
  agreed.keeps_client_context = compression.client_context_takeover && !offer.no_client_context;
  // Only three window sizes are used: a broadcast is compressed once for each size.
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
