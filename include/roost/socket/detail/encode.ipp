// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost::detail {

ROOST_DECL Frame encode_text(std::string_view text, std::string_view key) {
  if (!is_utf8(text)) {
    throw Error(errc::invalid_utf8, "a text message of " + std::to_string(text.size()) + " bytes");
  }
  return Frame::text(text, key);
}

// Stops at the limit, so that it cannot overflow the stack itself.
ROOST_WHEN_USED bool is_nested_over(const nlohmann::json& value, std::size_t limit) {
  if (!value.is_structured()) return false;
  if (limit == 0) return true;
  for (const auto& element : value) {
    if (is_nested_over(element, limit - 1)) return true;
  }
  return false;
}

ROOST_WHEN_USED_DEF std::string dump_json(const nlohmann::json& value, std::size_t max_depth) {
  if (is_nested_over(value, max_depth)) {
    throw Error(errc::invalid_json, "nested over " + std::to_string(max_depth) + " levels");
  }
  try {
    return value.dump();
  } catch (const nlohmann::json::exception& error) {
    throw Error(errc::invalid_json, error.what());
  }
}

ROOST_WHEN_USED_DEF Frame encode_json(const nlohmann::json& value, std::string_view key) {
  return Frame::text(dump_json(value), key);
}

ROOST_WHEN_USED_DEF nlohmann::json parse_json(std::string_view text) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return value;
  std::string mended(text);
  if (mend_surrogates(mended)) {
    value = nlohmann::json::parse(mended, nullptr, /*allow_exceptions=*/false);
  }
  return value;
}

ROOST_WHEN_USED_DEF nlohmann::json decode_json(std::string_view text) {
  if (json_depth(text) > max_json_depth) {
    throw Error(errc::invalid_json, "nested over " + std::to_string(max_json_depth) + " levels");
  }
  nlohmann::json value = parse_json(text);
  if (value.is_discarded()) {
    throw Error(errc::invalid_json, "a message of " + std::to_string(text.size()) + " bytes");
  }
  return value;
}

}  // namespace roost::detail
