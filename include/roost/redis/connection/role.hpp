// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "roost/redis/connection/codec.hpp"

namespace roost::detail {

/// What a Redis says of itself when it is asked with ROLE.
///
/// What is published to a replica reaches the clients of that replica and nobody else, though its
/// own subscribers are none the wiser: only a primary is of use.
class RedisRole {
 public:
  RedisRole() = default;
  explicit RedisRole(const RedisReply& reply) {
    if (reply.elements.empty()) {
      refusal_ = reply.text;
      return;
    }
    name_ = reply.elements[0].text;
    if (name_ == "slave" && reply.elements.size() >= 3) {
      primary_ = reply.elements[1].text + ":" + std::to_string(reply.elements[2].integer);
    }
  }

  /// It may not be asked, or is something that does not know.
  [[nodiscard]] bool is_known() const noexcept { return !name_.empty(); }
  /// Why not.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }
  /// Where it is not known, the best is hoped for.
  [[nodiscard]] bool is_usable() const noexcept { return name_ != "slave" && name_ != "sentinel"; }
  /// Why it is not usable.
  [[nodiscard]] std::string why() const {
    if (name_ == "sentinel") return "it is a Sentinel, which passes no messages on";
    return "it is a replica of " + primary_ +
           ", and what is published there reaches none but its own clients";
  }

 private:
  std::string name_;
  std::string primary_;
  std::string refusal_;
};

}  // namespace roost::detail
