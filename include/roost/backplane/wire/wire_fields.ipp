// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "roost/backplane/wire/wire_fields.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

ROOST_DECL std::string_view* WireFields::find(std::string_view name) noexcept {
  if (name == R"("kind")") return &kind;
  if (name == R"("room")") return &room;
  if (name == R"("rooms")") return &rooms;
  if (name == R"("payload")") return &payload;
  if (name == R"("exclude")") return &exclude;
  if (name == R"("overflow")") return &overflow;
  if (name == R"("key")") return &key;
  return nullptr;
}

ROOST_DECL std::optional<WireFields> find_fields(std::string_view text) noexcept {
  JsonScanner scanner(text);
  if (!is_utf8(text) || !scanner.take('{')) return std::nullopt;
  WireFields fields;
  bool is_closed = scanner.take('}');
  while (!is_closed) {
    const std::string_view name = scanner.string();
    const bool is_plain = !name.empty() && name.find('\\') == std::string_view::npos;
    if (!is_plain || !scanner.take(':')) return std::nullopt;
    const std::string_view value = scanner.value(max_json_depth - 1);
    if (value.empty()) return std::nullopt;
    std::string_view* const field = fields.find(name);
    if (field && !field->empty()) return std::nullopt;
    if (field) *field = value;
    fields.has_others |= !field;
    is_closed = scanner.take('}');
    if (!is_closed && !scanner.take(',')) return std::nullopt;
  }
  if (!scanner.is_at_end()) return std::nullopt;
  return fields;
}

ROOST_DECL bool is_given(std::string_view json) noexcept { return !json.empty() && json != "null"; }

/// Adds the strings of a field to @p names; false if it is no list of strings.
ROOST_WHEN_USED bool add_names(std::string_view json, std::vector<std::string>& names) {
  JsonScanner scanner(json);
  if (!scanner.take('[')) return false;
  if (scanner.take(']')) return true;
  do {
    const std::string_view name = scanner.string();
    if (name.empty()) return false;
    names.push_back(json_string_value(name));
  } while (scanner.take(','));
  return scanner.take(']');
}

/// As `decode_manner` reads it: what cannot be understood is left out.
ROOST_WHEN_USED void read_manner(const WireFields& fields, WireMessage& decoded) {
  const auto value = [](std::string_view token) {
    return token.starts_with('"') ? json_string_value(token) : std::string();
  };
  const std::string overflow = value(fields.overflow);
  for (const Overflow one : {Overflow::close, Overflow::drop_newest, Overflow::drop_oldest}) {
    if (overflow == to_string(one)) decoded.manner.overflow = one;
  }
  if (decoded.manner.overflow == Overflow::close) return;
  std::string key = value(fields.key);
  if (key.size() <= 255) decoded.key = std::move(key);
}

ROOST_WHEN_USED_DEF std::optional<WireMessage> decode_fields(const WireFields& fields) {
  WireMessage decoded;
  decoded.to.is_everyone = !is_given(fields.room) && !is_given(fields.rooms);
  if (is_given(fields.room)) {
    if (fields.room.front() != '"') return std::nullopt;
    decoded.to.rooms.push_back(json_string_value(fields.room));
  }
  if (is_given(fields.rooms) && !add_names(fields.rooms, decoded.to.rooms)) return std::nullopt;
  if (is_given(fields.exclude) && !add_names(fields.exclude, decoded.to.exclude)) {
    return std::nullopt;
  }
  read_manner(fields, decoded);
  if (fields.kind.find('\\') != std::string_view::npos) return std::nullopt;
  const bool is_string = fields.payload.starts_with('"');
  if (fields.kind == R"("text")" && is_string) {
    decoded.kind = WireKind::text;
    decoded.payload = json_string_value(fields.payload);
  } else if (fields.kind == R"("bytes")") {
    std::optional<std::string> bytes;
    if (is_string) bytes = base64_decode(json_string_value(fields.payload));
    if (!bytes) return std::nullopt;
    decoded.kind = WireKind::bytes;
    decoded.payload = std::move(*bytes);
  } else {
    decoded.kind = WireKind::json;
    decoded.payload = fields.payload.empty() ? "null" : fields.payload;
  }
  return decoded;
}

}  // namespace roost::detail
