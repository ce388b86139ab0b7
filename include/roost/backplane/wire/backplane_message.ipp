// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "roost/backplane/wire/backplane_message.hpp"
#include "roost/base/error.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost::detail {

ROOST_DECL Parcel::Parcel(std::string text) : text_(std::move(text)), fields_(find_fields(text_)) {}

ROOST_DECL Parcel::Parcel(nlohmann::json message, std::size_t bytes)
    : bytes_(bytes), is_parsed_(true), json_(std::move(message)) {}

ROOST_DECL Parcel::Parcel(std::string text, nlohmann::json message)
    : text_(std::move(text)),
      fields_(find_fields(text_)),
      is_parsed_(true),
      json_(std::move(message)) {}

ROOST_WHEN_USED_DEF const nlohmann::json& Parcel::json() const {
  if (!is_parsed_) std::call_once(once_, [this] { json_ = parse_json(text_); });
  if (json_.is_discarded()) {
    throw Error(errc::invalid_json, "a message of " + std::to_string(text_.size()) +
                                        " bytes with what a value cannot hold");
  }
  return json_;
}

ROOST_WHEN_USED_DEF OrSkipped<WireMessage> Parcel::decode() const {
  std::optional<WireMessage> decoded;
  if (fields_) decoded = decode_fields(*fields_);
  if (decoded) return std::move(*decoded);
  try {
    return decode_wire(json());
  } catch (const Error& error) {
    return Skipped{error.what()};
  }
}

}  // namespace roost::detail
