// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <utility>

#include "roost/backplane/control/control_message.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

inline constexpr std::array<std::string_view, 4> order_names = {"roost:disconnect", "roost:join",
                                                                "roost:leave", "roost:room_size"};
inline constexpr std::array<std::string_view, 3> target_names = {"connection", "user", "room"};

ROOST_WHEN_USED_DEF std::string encode_question(const ControlQuestion& question) {
  const nlohmann::json message = {{"control", "ask"},      {"id", question.id},
                                  {"from", question.from}, {"reply", question.reply},
                                  {"what", question.what}, {"body", question.body}};
  return dump_json(message);
}

ROOST_WHEN_USED_DEF std::string encode_answer(ControlAnswer answer) {
  nlohmann::json message = {{"control", "answer"}, {"id", answer.id}, {"from", answer.from}};
  if (answer.error.empty()) {
    message["body"] = std::move(answer.body);
    try {
      std::string text = dump_json(message);
      if (text.size() <= max_control_bytes) return text;
      answer.error = "the answer is larger than " + std::to_string(max_control_body) + " bytes";
    } catch (const Error& error) {
      answer.error = std::string("the answer is not valid JSON: ") + error.what();
    }
    message.erase("body");
  }
  constexpr std::size_t max_error = 1'024;
  if (answer.error.size() > max_error || !is_utf8(answer.error)) {
    answer.error = escape_for_log(answer.error.substr(0, max_error / 4));
  }
  message["error"] = std::move(answer.error);
  return dump_json(message);
}

ROOST_WHEN_USED_DEF std::string_view name_of(ControlOrder::Kind kind) {
  return order_names[static_cast<std::size_t>(kind)];
}

ROOST_WHEN_USED_DEF nlohmann::json encode_order(const ControlOrder& order) {
  return {{"to", target_names[static_cast<std::size_t>(order.to)]},
          {"name", order.name},
          {"room", order.room},
          {"code", order.code},
          {"reason", order.reason},
          {"except", order.except}};
}

/// The text of a member that is a string of at most @p max_size bytes; nullopt for any other.
[[nodiscard]] inline std::optional<std::string> control_text(const nlohmann::json& object,
                                                             const char* name,
                                                             std::size_t max_size = 255) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  const auto& text = found->get_ref<const std::string&>();
  if (text.size() > max_size) return std::nullopt;
  return text;
}

ROOST_WHEN_USED_DEF ControlMessage read_control(std::string_view text) {
  // A cheap look first: announcements come the same way, and more often.
  if (text.size() > max_control_bytes || text.find("\"control\"") == text.npos || !is_utf8(text) ||
      json_depth(text) > max_json_depth) {
    return {};
  }
  nlohmann::json message = parse_json(text);
  if (!message.is_object()) return {};
  const auto kind = control_text(message, "control");
  auto id = control_text(message, "id", 64);
  auto from = control_text(message, "from");
  if (!kind || !id || id->empty() || !from || from->empty()) return {};
  nlohmann::json body;
  if (const auto found = message.find("body"); found != message.end()) body = std::move(*found);
  if (*kind == "answer") {
    return ControlAnswer{std::move(*id), std::move(*from), std::move(body),
                         control_text(message, "error", 4'096).value_or("")};
  }
  auto reply = control_text(message, "reply");
  auto what = control_text(message, "what", max_question_name);
  if (*kind != "ask" || !reply || reply->empty() || !what || what->empty()) return {};
  return ControlQuestion{std::move(*id), std::move(*from), std::move(*reply), std::move(*what),
                         std::move(body)};
}

ROOST_WHEN_USED_DEF std::optional<ControlOrder> read_order(const ControlQuestion& question) {
  ControlOrder order;
  std::size_t kind = 0;
  while (kind < order_names.size() && order_names[kind] != question.what) ++kind;
  const nlohmann::json& body = question.body;
  if (kind == order_names.size() || !body.is_object()) return std::nullopt;
  order.kind = static_cast<ControlOrder::Kind>(kind);
  const auto to = control_text(body, "to");
  auto name = control_text(body, "name", 4'096);
  auto room = control_text(body, "room", 4'096);
  auto reason = control_text(body, "reason");
  auto except = control_text(body, "except");
  std::size_t target = 0;
  while (target < target_names.size() && target_names[target] != to) ++target;
  const auto code = body.find("code");
  const bool is_code =
      code != body.end() && code->is_number_unsigned() && code->get<std::uint64_t>() <= 65'535;
  if (target == target_names.size() || !name || !room || !reason || !except || !is_code) {
    return std::nullopt;
  }
  order.to = static_cast<Target::Kind>(target);
  order.name = std::move(*name);
  order.room = std::move(*room);
  order.code = code->get<std::uint16_t>();
  order.reason = std::move(*reason);
  order.except = std::move(*except);
  return order;
}

}  // namespace roost::detail
