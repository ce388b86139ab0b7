// SPDX-License-Identifier: MIT
#pragma once

// What a message of the wire means, by way of the values that a parser makes of it: what the reader
// in roost, which makes none, is compared with.

#include <roost/backplane/delivery/wire_message.hpp>
#include <roost/base/error.hpp>
#include <roost/base/text/json.hpp>
#include <roost/base/text/text.hpp>
#include <roost/socket/frame.hpp>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roost::test {

/// All of it in one line, or why it is skipped; JSON by value.
inline std::string told(const detail::OrSkipped<detail::WireMessage>& decoded) {
  if (const auto* skipped = std::get_if<detail::Skipped>(&decoded)) {
    return "skipped: " + skipped->why;
  }
  const auto& wire = std::get<detail::WireMessage>(decoded);
  const bool is_json = wire.kind == detail::WireKind::json;
  const nlohmann::json all = {
      static_cast<int>(wire.kind),
      wire.to.is_everyone,
      wire.to.rooms,
      wire.to.exclude,
      is_json ? detail::parse_json(wire.payload) : nlohmann::json(wire.payload),
      wire.manner.overflow ? to_string(*wire.manner.overflow) : "",
      wire.key};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The JSON object that handlers get.
inline detail::OrSkipped<nlohmann::json> parse_message(std::string_view text) {
  using detail::Skipped;
  if (!detail::is_utf8(text)) return Skipped{"it is not UTF-8"};
  if (detail::json_depth(text) > detail::max_json_depth) {
    return Skipped{"it is nested over " + std::to_string(detail::max_json_depth) + " levels"};
  }
  nlohmann::json message = detail::parse_json(text);
  if (message.is_discarded()) return Skipped{"it is not JSON"};
  if (!message.is_object()) return Skipped{"it is not a JSON object"};
  return message;
}

// Null is the same as missing.
inline const nlohmann::json* find_field(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

inline bool add_names(const nlohmann::json& field, std::vector<std::string>& names) {
  if (!field.is_array()) return false;
  for (const nlohmann::json& name : field) {
    if (!name.is_string()) return false;
    names.push_back(name.get_ref<const std::string&>());
  }
  return true;
}

inline const char* decode_audience(const nlohmann::json& message, detail::Audience& to) {
  const nlohmann::json* const room = find_field(message, "room");
  const nlohmann::json* const rooms = find_field(message, "rooms");
  to.is_everyone = !room && !rooms;
  if (room) {
    if (!room->is_string()) return "its room is not a string";
    to.rooms.push_back(room->get_ref<const std::string&>());
  }
  if (rooms && !add_names(*rooms, to.rooms)) return "its rooms are not a list of strings";
  const nlohmann::json* const exclude = find_field(message, "exclude");
  if (exclude && !add_names(*exclude, to.exclude)) return "its exclude is not a list of strings";
  return nullptr;
}

inline void decode_manner(const nlohmann::json& message, detail::WireMessage& decoded) {
  const nlohmann::json* const overflow = find_field(message, "overflow");
  const nlohmann::json* const key = find_field(message, "key");
  for (const Overflow one : {Overflow::close, Overflow::drop_newest, Overflow::drop_oldest}) {
    if (overflow && *overflow == to_string(one)) decoded.manner.overflow = one;
  }
  if (!key || !key->is_string() || decoded.manner.overflow == Overflow::close) return;
  const std::string& name = key->get_ref<const std::string&>();
  if (name.size() <= 255) decoded.key = name;
}

/// @param message  as `parse_message` returns it
inline detail::OrSkipped<detail::WireMessage> decode_message(const nlohmann::json& message) {
  using detail::Skipped;
  using detail::WireKind;
  detail::WireMessage decoded;
  if (const char* why = decode_audience(message, decoded.to)) return Skipped{why};
  decode_manner(message, decoded);
  static const nlohmann::json null;
  const nlohmann::json* payload = find_field(message, "payload");
  if (!payload) payload = &null;
  const nlohmann::json* const field = find_field(message, "kind");
  const std::string_view kind =
      field && field->is_string() ? field->get_ref<const std::string&>() : std::string_view();
  if (kind == "bytes") {
    std::optional<std::string> bytes;
    if (payload->is_string()) {
      bytes = detail::base64_decode(payload->get_ref<const std::string&>());
    }
    if (!bytes) return Skipped{"its payload is not base64"};
    decoded.kind = WireKind::bytes;
    decoded.payload = std::move(*bytes);
  } else if (kind == "text" && payload->is_string()) {
    decoded.kind = WireKind::text;
    decoded.payload = payload->get_ref<const std::string&>();
  } else {
    decoded.kind = WireKind::json;
    decoded.payload = payload->dump();
  }
  return decoded;
}

/// What a parser makes of a text, as `told` tells it.
inline std::string parsed(std::string_view text) {
  const auto message = parse_message(text);
  if (const auto* skipped = std::get_if<detail::Skipped>(&message)) {
    return "skipped: " + skipped->why;
  }
  return told(decode_message(std::get<nlohmann::json>(message)));
}

}  // namespace roost::test
