// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/option.hpp>
#include <charconv>
#include <optional>
#include <string_view>

#include "roost/beast/detail/deflate.hpp"
#include "roost/beast/detail/header_value.hpp"
#include "roost/beast/options.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

inline constexpr std::string_view window_bits_parameter = "server_max_window_bits=";

/// What Beast is to agree to.
template <class Fields>
boost::beast::websocket::permessage_deflate offer_of(const std::optional<Compression>& compression,
                                                     const Fields& request) {
  boost::beast::websocket::permessage_deflate offer;
  // To 8, which zlib cannot do, Beast answers 9, which the client has not asked for.
  const std::string_view wanted =
      to_std(request[boost::beast::http::field::sec_websocket_extensions]);
  const std::size_t bits = wanted.find(window_bits_parameter);
  const bool wants_8 = bits != std::string_view::npos &&
                       wanted.substr(bits + window_bits_parameter.size()).starts_with('8');
  offer.server_enable = compression.has_value() && !wants_8;
  offer.server_no_context_takeover = true;
  offer.client_no_context_takeover = true;
  return offer;
}

/// What Beast has agreed to.
/// @returns 0: no compression
template <class Fields>
FrameForm agreed_form(const std::optional<Compression>& compression, const Fields& response) {
  const std::string_view agreed =
      to_std(response[boost::beast::http::field::sec_websocket_extensions]);
  if (!compression || agreed.empty()) return 0;
  DeflateForm form{.level = compression->level, .min_bytes = compression->min_bytes};
  if (const auto at = agreed.find(window_bits_parameter); at != std::string_view::npos) {
    const std::string_view bits = agreed.substr(at + window_bits_parameter.size());
    std::from_chars(bits.data(), bits.data() + bits.size(), form.window_bits);
  }
  return form.value();
}

}  // namespace roost::detail
