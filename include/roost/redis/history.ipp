// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/redis/history.hpp"
#include "roost/redis/history/redis_history.hpp"

namespace roost {

namespace detail {

class RedisHistories final : public WithScripts<RedisHistoryFactory> {
 public:
  explicit RedisHistories(HistoryOptions options)
      : WithScripts("history"), options_(std::move(options)) {
    check_history(options_);
  }
  [[nodiscard]] std::string rules() const override {
    std::string text = "history " + to_ms_text(options_.position_age);
    for (const HistoryRule& rule : options_.rules) {
      append_json_string(text += ' ', rule.rooms);
      text += ' ' + std::to_string(rule.max_messages) + ' ' + std::to_string(rule.max_bytes) + ' ' +
              to_ms_text(rule.max_age);
    }
    return text;
  }
  [[nodiscard]] std::shared_ptr<RedisHistorian> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::shared_ptr<HandlerQueues> inbound,
      std::function<bool(const std::string&)> is_listening) const override {
    auto history = std::make_shared<RedisHistory>(options_, std::move(shared), std::move(inbound),
                                                  std::move(is_listening));
    history->use(std::static_pointer_cast<RedisScriptConnection>(scripting));
    return history;
  }

 private:
  const HistoryOptions options_;
};

}  // namespace detail

ROOST_DECL std::shared_ptr<const detail::RedisHistoryFactory> redis_history(
    HistoryOptions options) {
  return std::make_shared<const detail::RedisHistories>(std::move(options));
}

}  // namespace roost
