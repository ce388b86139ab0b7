// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <utility>

#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF OrSkipped<nlohmann::json> parse_message(std::string_view text) {
  if (!is_utf8(text)) return Skipped{"it is no UTF-8"};
  if (json_depth(text) > max_json_depth) {
    return Skipped{"it is nested over " + std::to_string(max_json_depth) + " levels"};
  }
  nlohmann::json message = parse_json(text);
  if (message.is_discarded()) return Skipped{"it is no JSON"};
  if (!message.is_object()) return Skipped{"it is no JSON object"};
  return message;
}

ROOST_DECL void check_size(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return;
  throw Error(errc::message_too_big, "a message of " + std::to_string(text.size()) +
                                         " bytes, max_message_bytes is " +
                                         std::to_string(max_bytes));
}

ROOST_DECL void check_wire_limit(std::optional<std::size_t> backplane,
                                 std::optional<std::size_t> manager) {
  if (!backplane || !manager || *backplane >= longest_on_wire(*manager)) return;
  throw Error(errc::invalid_option,
              "max_message_bytes of the backplane is " + std::to_string(*backplane) +
                  ", it must be at least " + std::to_string(longest_on_wire(*manager)) +
                  " for max_message_bytes of the manager, which is " + std::to_string(*manager));
}

ROOST_WHEN_USED_DEF std::string serialize_message(const nlohmann::json& message,
                                                  std::size_t max_bytes) {
  if (!message.is_object()) throw Error(errc::invalid_json, "a message must be a JSON object");
  std::string text = dump_json(message);
  check_size(text, max_bytes);
  return text;
}

ROOST_DECL void append_json_strings(std::string& out, std::span<const std::string> texts) {
  char separator = '[';
  for (const std::string& text : texts) {
    append_json_string(out += separator, text);
    separator = ',';
  }
  out += texts.empty() ? "[]" : "]";
}

ROOST_WHEN_USED_DEF OutgoingMessage encode_wire(WireKind kind, std::string_view payload,
                                                const Audience& to, const Manner& manner,
                                                std::string_view key) {
  OutgoingMessage message;
  std::string& text = message.text;
  text.reserve(payload.size() + 128);
  append_json_strings(text += R"({"exclude":)", to.exclude);
  text += kind == WireKind::text    ? R"(,"kind":"text","payload":)"
          : kind == WireKind::bytes ? R"(,"kind":"bytes","payload":)"
                                    : R"(,"kind":"json","payload":)";
  if (kind == WireKind::json) {
    text += payload;
  } else {
    append_json_string(text, payload);
  }
  text += R"(,"room":)";
  if (to.rooms.empty()) {
    text += "null";
  } else {
    append_json_string(text, to.rooms.front());
  }
  if (to.rooms.size() > 1) {
    append_json_strings(text += R"(,"rooms":)", std::span(to.rooms).subspan(1));
  } else if (to.rooms.size() == 1) {
    message.room = to.rooms.front();
  }
  if (manner.overflow) {
    append_json_string(text += R"(,"overflow":)", to_string(*manner.overflow));
  }
  if (!key.empty()) append_json_string(text += R"(,"key":)", key);
  text += '}';
  return message;
}

ROOST_WHEN_USED_DEF const nlohmann::json* find_field(const nlohmann::json& object,
                                                     const char* name) {
  const auto field = object.find(name);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

/// Adds the strings of a field to @p names; false if the field is no list of strings.
ROOST_WHEN_USED bool add_names(const nlohmann::json& field, std::vector<std::string>& names) {
  if (!field.is_array()) return false;
  for (const nlohmann::json& name : field) {
    if (!name.is_string()) return false;
    names.push_back(name.get_ref<const std::string&>());
  }
  return true;
}

/// Null, or why not. What cannot be understood must not become a message to everyone, nor to those
/// who are excluded.
ROOST_WHEN_USED const char* decode_audience(const nlohmann::json& message, Audience& to) {
  const nlohmann::json* const room = find_field(message, "room");
  const nlohmann::json* const rooms = find_field(message, "rooms");
  to.is_everyone = !room && !rooms;
  if (room) {
    if (!room->is_string()) return "its room is no string";
    to.rooms.push_back(room->get_ref<const std::string&>());
  }
  if (rooms && !add_names(*rooms, to.rooms)) return "its rooms are no list of strings";
  const nlohmann::json* const exclude = find_field(message, "exclude");
  if (exclude && !add_names(*exclude, to.exclude)) return "its exclude is no list of strings";
  return nullptr;
}

/// What cannot be understood is left out: the message is one that must arrive, then.
ROOST_WHEN_USED void decode_manner(const nlohmann::json& message, WireMessage& decoded) {
  const nlohmann::json* const overflow = find_field(message, "overflow");
  const nlohmann::json* const key = find_field(message, "key");
  for (const Overflow one : {Overflow::close, Overflow::drop_newest, Overflow::drop_oldest}) {
    if (overflow && *overflow == to_string(one)) decoded.manner.overflow = one;
  }
  if (!key || !key->is_string() || decoded.manner.overflow == Overflow::close) return;
  const std::string& name = key->get_ref<const std::string&>();
  if (name.size() <= 255) decoded.key = name;
}

ROOST_WHEN_USED_DEF OrSkipped<WireMessage> decode_wire(const nlohmann::json& message) {
  if (!message.is_object()) return Skipped{"it is no JSON object"};
  WireMessage decoded;
  if (const char* why = decode_audience(message, decoded.to)) return Skipped{why};
  decode_manner(message, decoded);

  static const nlohmann::json null;
  const nlohmann::json* payload = find_field(message, "payload");
  if (!payload) payload = &null;
  const nlohmann::json* const field = find_field(message, "kind");
  const std::string_view kind =
      field && field->is_string() ? field->get_ref<const std::string&>() : std::string_view();
  if (kind == "bytes") {
    if (!payload->is_string()) return Skipped{"its payload is no base64"};
    std::optional<std::string> bytes = base64_decode(payload->get_ref<const std::string&>());
    if (!bytes) return Skipped{"its payload is no base64"};
    decoded.kind = WireKind::bytes;
    decoded.payload = std::move(*bytes);
  } else if (kind == "text" && payload->is_string()) {
    decoded.kind = WireKind::text;
    decoded.payload = payload->get_ref<const std::string&>();
  } else {
    decoded.kind = WireKind::json;
    try {
      decoded.payload = dump_json(*payload);
    } catch (const Error& error) {
      return Skipped{error.what()};
    }
  }
  return decoded;
}

}  // namespace roost::detail
