// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "roost/base/error.hpp"
#include "roost/base/text/escape.hpp"
#include "roost/base/text/utf8.hpp"
#include "roost/base/text/validate_names.hpp"

namespace roost::detail {

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
  if (!is_utf8(name)) fail("is no UTF-8");
  if (has_control(name)) fail("has a control character");
}

ROOST_DECL void validate_room_name(std::string_view name, std::size_t max_bytes) {
  validate_name(name, max_bytes, errc::invalid_room_name, "room");
}

ROOST_DECL void validate_connection_id(std::string_view id) {
  constexpr std::size_t max_bytes = 255;
  validate_name(id, max_bytes, errc::invalid_connection_id, "id");
}

}  // namespace roost::detail
