// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/base/text/json.hpp"

namespace roost::detail {

// --- going out ---

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

ROOST_WHEN_USED_DEF std::string serialize_message(const nlohmann::json& message,
                                                  std::size_t max_bytes) {
  if (!message.is_object()) throw Error(errc::invalid_json, "a message must be a JSON object");
  std::string text = dump_json(message);
  check_size(text, max_bytes);
  return text;
}

ROOST_DECL void check_size(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return;
  throw Error(errc::message_too_big, "a message of " + std::to_string(text.size()) +
                                         " bytes, max_message_bytes is " +
                                         std::to_string(max_bytes));
}

ROOST_DECL void check_recorded_size(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return;
  throw Error(errc::message_too_big, "a message of " + std::to_string(text.size()) +
                                         " bytes, max_bytes of the room's HistoryRule is " +
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

// --- coming in ---

ROOST_DECL std::string_view* find_field(WireFields& fields, std::string_view name) noexcept {
  if (name == "kind") return &fields.kind;
  if (name == "room") return &fields.room;
  if (name == "rooms") return &fields.rooms;
  if (name == "payload") return &fields.payload;
  if (name == "exclude") return &fields.exclude;
  if (name == "overflow") return &fields.overflow;
  if (name == "key") return &fields.key;
  if (name == "of") return &fields.of;
  return nullptr;
}

ROOST_DECL Skipped why_no_message(std::string_view text) {
  if (json_depth(text) > max_json_depth) {
    return {"it is nested over " + std::to_string(max_json_depth) + " levels"};
  }
  JsonScanner scanner(text);
  const bool is_json = !scanner.value().empty() && scanner.is_at_end();
  return {is_json ? "it is not a JSON object" : "it is not JSON"};
}

ROOST_DECL OrSkipped<WireFields> find_fields(std::string_view text) {
  if (!is_utf8(text)) return Skipped{"it is not UTF-8"};
  WireFields fields;
  JsonScanner scanner(text);
  const bool is_object =
      scanner.members(max_json_depth - 1, [&](std::string_view name, std::string_view value) {
        std::string_view* const field = find_field(fields, name);
        if (field) *field = value;
        fields.has_others |= !field;
        return true;
      });
  if (!is_object || !scanner.is_at_end()) return why_no_message(text);
  return fields;
}

/// Whether a field has a value: null counts as missing.
ROOST_DECL bool is_given(std::string_view json) noexcept { return !json.empty() && json != "null"; }

/// The text of a field that is a string; nullopt for any other field.
ROOST_DECL std::optional<std::string> string_of(std::string_view json) {
  if (!json.starts_with('"')) return std::nullopt;
  return json_string_value(json);
}

/// Adds the strings of a field to @p names; false if the field is not a list of strings.
ROOST_DECL bool add_names(std::string_view json, std::vector<std::string>& names) {
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

/// Reads the recipients. A message whose recipients cannot be understood is skipped: it must not go
/// to everyone, nor to connections that are excluded.
/// @returns null, or why the message is skipped.
ROOST_DECL const char* read_audience(const WireFields& fields, Audience& to) {
  to.is_everyone = !is_given(fields.room) && !is_given(fields.rooms);
  if (is_given(fields.room)) {
    std::optional<std::string> room = string_of(fields.room);
    if (!room) return "its room is not a string";
    to.rooms.push_back(*std::move(room));
  }
  if (is_given(fields.rooms) && !add_names(fields.rooms, to.rooms)) {
    return "its rooms are not a list of strings";
  }
  if (is_given(fields.exclude) && !add_names(fields.exclude, to.exclude)) {
    return "its exclude is not a list of strings";
  }
  return nullptr;
}

/// Reads how the message is queued. Values that cannot be understood are ignored, and the message
/// is queued as one that must arrive.
ROOST_DECL void read_manner(const WireFields& fields, WireMessage& message) {
  const std::optional<std::string> overflow = string_of(fields.overflow);
  for (const Overflow one : {Overflow::close, Overflow::drop_newest, Overflow::drop_oldest}) {
    if (overflow == to_string(one)) message.manner.overflow = one;
  }
  if (message.manner.overflow == Overflow::close) return;
  std::optional<std::string> key = string_of(fields.key);
  if (key && key->size() <= 255) message.key = *std::move(key);
}

/// Reads the payload.
/// @returns null, or why the message is skipped.
ROOST_DECL const char* read_payload(const WireFields& fields, WireMessage& message) {
  const std::optional<std::string> kind = string_of(fields.kind);
  std::optional<std::string> text;
  if (kind == "text" || kind == "bytes") text = string_of(fields.payload);
  if (kind == "bytes") {
    std::optional<std::string> bytes;
    if (text) bytes = base64_decode(*text);
    if (!bytes) return "its payload is not base64";
    message.kind = WireKind::bytes;
    message.payload = *std::move(bytes);
  } else if (text) {
    message.kind = WireKind::text;
    message.payload = *std::move(text);
  } else {
    message.kind = WireKind::json;
    message.payload = fields.payload.empty() ? "null" : fields.payload;
  }
  return nullptr;
}

ROOST_DECL Parcel::Parcel(std::string text) : text_(std::move(text)), fields_(find_fields(text_)) {}

ROOST_WHEN_USED_DEF Parcel Parcel::of(const nlohmann::json& message) {
  try {
    return Parcel(dump_json(message));
  } catch (const Error& error) {
    return Parcel(Skipped{std::string("it is not UTF-8, or nested too deep: ") + error.what()});
  }
}

ROOST_WHEN_USED_DEF const nlohmann::json& Parcel::json() const {
  std::call_once(once_, [this] {
    json_ = parse_json(text_);
    if (json_.is_object()) {
      for (const char* field : hidden_) json_.erase(field);
    }
  });
  if (json_.is_discarded()) {
    throw Error(errc::invalid_json, "a message of " + std::to_string(text_.size()) +
                                        " bytes with what a value cannot hold");
  }
  return json_;
}

ROOST_DECL std::pair<std::string, bool> Parcel::recorded_for() const {
  const auto* const fields = std::get_if<WireFields>(&fields_);
  if (!fields) return {};
  const bool is_news = is_given(fields->of);
  return {string_of(is_news ? fields->of : fields->room).value_or(""), is_news};
}

ROOST_DECL OrSkipped<WireMessage> Parcel::decode() const {
  if (const Skipped* const why = skipped()) return *why;
  const auto& fields = std::get<WireFields>(fields_);
  WireMessage message;
  const char* why = read_audience(fields, message.to);
  read_manner(fields, message);
  if (!why) why = read_payload(fields, message);
  if (why) return Skipped{why};
  return message;
}

}  // namespace roost::detail
