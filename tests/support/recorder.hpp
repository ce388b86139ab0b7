// SPDX-License-Identifier: MIT
// A handler that remembers what it got.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/backplane.hpp>
#include <string_view>
#include <vector>

namespace roost::test {

class Recorder {
 public:
  /// Copies of it record here too.
  [[nodiscard]] BackplaneHandler handler() const {
    return [got = got_](const nlohmann::json& message) { got->push_back(message); };
  }

  [[nodiscard]] const std::vector<nlohmann::json>& got() const noexcept { return *got_; }
  /// The `n` of each message.
  [[nodiscard]] std::vector<int> numbers() const {
    std::vector<int> numbers;
    for (const nlohmann::json& message : *got_) numbers.push_back(message.at("n"));
    return numbers;
  }

 private:
  std::shared_ptr<std::vector<nlohmann::json>> got_ =
      std::make_shared<std::vector<nlohmann::json>>();
};

/// A message that is told from others by its number.
inline nlohmann::json numbered(int n) { return {{"n", n}}; }

}  // namespace roost::test
