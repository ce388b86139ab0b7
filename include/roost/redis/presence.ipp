// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/redis/presence.hpp"
#include "roost/redis/presence/redis_presence.hpp"

namespace roost {

namespace detail {

class RedisPresences final : public RedisPresenceFactory {
 public:
  explicit RedisPresences(PresenceOptions options) : options_(std::move(options)) {
    check_presence(options_);
  }
  [[nodiscard]] std::shared_ptr<RedisPresencePart> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::shared_ptr<RedisRegistrar> registrar, RedisChannels channels) const override {
    auto presence = std::make_shared<RedisPresence>(options_, std::move(shared),
                                                    std::move(registrar), std::move(channels));
    presence->use(std::static_pointer_cast<RedisScriptConnection>(scripting));
    return presence;
  }
  [[nodiscard]] std::string rules() const override {
    std::string text = "presence";
    for (const PresenceRule& rule : options_.rules) {
      append_json_string(text += ' ', rule.rooms);
      text += ' ' + std::to_string(rule.max_listed) + ' ' + to_ms_text(rule.linger);
    }
    return text;
  }

 private:
  const PresenceOptions options_;
};

}  // namespace detail

ROOST_DECL std::shared_ptr<const detail::RedisPresenceFactory> redis_presence(
    PresenceOptions options) {
  return std::make_shared<const detail::RedisPresences>(std::move(options));
}

}  // namespace roost
