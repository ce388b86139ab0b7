// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/redis/registry.hpp"
#include "roost/redis/registry/redis_registry.hpp"

namespace roost {

namespace detail {

class RedisRegistries final : public WithScripts<RedisRegistryFactory> {
 public:
  explicit RedisRegistries(RegistryOptions options) : WithScripts("registry"), options_(options) {
    using std::chrono::milliseconds;
    using std::chrono::minutes;
    using std::chrono::seconds;
    check_option(options_.lease >= seconds(5) && options_.lease <= minutes(5),
                 "lease must be 5 s to 5 min");
    check_option(options_.beat_interval >= milliseconds(500) &&
                     options_.beat_interval <= seconds(5) &&
                     options_.beat_interval <= options_.lease / 3,
                 "beat_interval must be 500 ms to 5 s, and at most a third of lease");
  }
  [[nodiscard]] std::string rules() const override {
    return "registry " + to_ms_text(options_.lease) + ' ' + to_ms_text(options_.beat_interval);
  }
  [[nodiscard]] std::shared_ptr<RedisRegistrar> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::string rules) const override {
    auto registry = std::make_shared<RedisRegistry>(options_, std::move(shared), std::move(rules));
    registry->use(std::static_pointer_cast<RedisScriptConnection>(scripting));
    return registry;
  }

 private:
  const RegistryOptions options_;
};

}  // namespace detail

ROOST_DECL std::shared_ptr<const detail::RedisRegistryFactory> redis_registry(
    RegistryOptions options) {
  return std::make_shared<const detail::RedisRegistries>(options);
}

}  // namespace roost
