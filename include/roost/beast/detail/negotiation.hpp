// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/option.hpp>
#include <charconv>
#include <optional>

#include "roost/beast/detail/deflate.hpp"
#include "roost/beast/options.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

/// The smallest window that permessage-deflate is asked for, or was agreed on with, by a request or
/// a response. 15 where nothing is said; none without the extension.
template <class Fields>
std::optional<unsigned> server_window_bits(const Fields& fields) {
  std::optional<unsigned> smallest;
  const auto extensions = fields[boost::beast::http::field::sec_websocket_extensions];
  for (const auto& [name, parameters] : boost::beast::http::ext_list(extensions)) {
    if (!boost::beast::iequals(name, "permessage-deflate")) continue;
    unsigned bits = 15;
    for (const auto& [parameter, value] : parameters) {
      if (!boost::beast::iequals(parameter, "server_max_window_bits")) continue;
      std::from_chars(value.data(), value.data() + value.size(), bits);
    }
    smallest = std::min(bits, smallest.value_or(15));
  }
  return smallest;
}

/// What Beast is to agree to. A window that is asked for becomes one of few: a broadcast is
/// compressed for each.
template <class Fields>
boost::beast::websocket::permessage_deflate offer_of(const std::optional<Compression>& compression,
                                                     const Fields& request) {
  const unsigned wanted = server_window_bits(request).value_or(15);
  boost::beast::websocket::permessage_deflate offer;
  // 8 is what zlib cannot do: Beast would answer 9, which the client has not asked for.
  offer.server_enable = compression.has_value() && wanted > 8;
  offer.server_max_window_bits = wanted >= 15 ? 15 : wanted >= 12 ? 12 : 9;
  offer.server_no_context_takeover = true;
  offer.client_no_context_takeover = true;
  return offer;
}

/// What Beast has agreed to.
/// @returns 0: no compression
template <class Fields>
FrameForm agreed_form(const std::optional<Compression>& compression, const Fields& response) {
  const std::optional<unsigned> window_bits = server_window_bits(response);
  if (!compression || !window_bits) return 0;
  const DeflateForm form{.window_bits = *window_bits,
                         .level = compression->level,
                         .min_bytes = compression->min_bytes};
  return form.value();
}

}  // namespace roost::detail
