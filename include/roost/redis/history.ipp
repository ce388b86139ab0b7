// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/redis/history.hpp"
#include "roost/redis/history/room_logs.hpp"

namespace roost {

namespace detail {

class RedisHistories final : public RedisHistoryFactory {
 public:
  explicit RedisHistories(HistoryOptions options) : options_(std::move(options)) {
    check_history(options_);
  }
  [[nodiscard]] std::shared_ptr<RedisScripting> make_scripting(
      RedisSharedPtr shared, std::function<void(const std::string&)> unusable) const override {
    return std::make_shared<RedisScriptConnection>(std::move(shared), "history",
                                                   std::move(unusable));
  }
  [[nodiscard]] std::string rules() const override {
    const auto ms = [](Clock::duration time) {
      return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    std::string text = "history " + ms(options_.position_age);
    for (const HistoryRule& rule : options_.rules) {
      append_json_string(text += ' ', rule.rooms);
      text += ' ' + std::to_string(rule.max_messages) + ' ' + std::to_string(rule.max_bytes) + ' ' +
              ms(rule.max_age);
    }
    return text;
  }
  [[nodiscard]] std::shared_ptr<RedisHistorian> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::shared_ptr<Inbound> inbound,
      std::function<bool(const std::string&)> is_listening) const override {
    auto history = std::make_shared<RedisHistory>(options_, shared, std::move(inbound));
    const std::weak_ptr<RedisHistory> weak = history;
    const auto with = [weak](auto f) {
      if (const auto self = weak.lock()) f(*self);
    };
    const auto scripts = std::static_pointer_cast<RedisScriptConnection>(scripting);
    auto store = std::make_shared<RedisStore>(
        std::move(shared), scripts,
        RedisStore::Events{.up = [with] { with([](RedisHistory& self) { self.on_store_up(); }); },
                           .beat = [with] { with([](RedisHistory& self) { self.on_beat(); }); },
                           .down =
                               [with](const std::string&) {
                                 with([](RedisHistory& self) { self.on_store_down(); });
                               },
                           .has_questions =
                               [weak] {
                                 const auto self = weak.lock();
                                 return self && self->has_questions();
                               },
                           .next_question = [weak] { return weak.lock()->next_question(); }});
    store->use(scripts->add(store));
    history->use(std::move(store), std::move(is_listening));
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
