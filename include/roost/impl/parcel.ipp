// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/detail/parcel.hpp"

namespace roost::detail {

ROOST_DECL Parcel::Parcel(std::string text) : text_(std::move(text)), fields_(find_fields(text_)) {}

ROOST_DECL Parcel::Parcel(nlohmann::json message, std::size_t bytes)
    : bytes_(bytes), is_parsed_(true), json_(std::move(message)) {}

ROOST_WHEN_USED_DEF const nlohmann::json& Parcel::json() const {
  if (!is_parsed_) std::call_once(once_, [this] { json_ = nlohmann::json::parse(text_); });
  return json_;
}

ROOST_WHEN_USED_DEF OrSkipped<WireMessage> Parcel::decode() const {
  std::optional<WireMessage> decoded;
  if (fields_) decoded = decode_fields(*fields_);
  if (!decoded) return decode_wire(json());
  return std::move(*decoded);
}

}  // namespace roost::detail
