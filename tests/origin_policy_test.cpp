// SPDX-License-Identifier: MIT
#include <roost/origin_policy.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using Header = std::optional<std::string_view>;

struct Row {
  Header origin;
  Header host;
  bool allowed;
};

void check(const OriginPolicy& policy, const std::vector<Row>& rows) {
  for (const auto& [origin, host, allowed] : rows) {
    CAPTURE(origin.value_or("(none)"), host.value_or("(none)"));
    CHECK(policy.allows(origin, host) == allowed);
  }
}

TEST_CASE("a policy that is not set allows every request", "[origin]") {
  const OriginPolicy policy;
  CHECK_FALSE(policy.is_set());
  check(policy, {{"https://evil.example", "app.example", true},
                 {std::nullopt, std::nullopt, true},
                 {"", "", true}});
}

TEST_CASE("listed origins must match exactly, and there must be one", "[origin]") {
  const OriginPolicy policy = {"https://app.example.com", "http://localhost:3000"};
  CHECK(policy.is_set());
  check(policy, {{"https://app.example.com", {}, true},
                 {"http://localhost:3000", {}, true},
                 {"http://app.example.com", {}, false},
                 {"https://app.example.com:443", {}, false},
                 {"https://app.example.com/", {}, false},
                 {"https://app.example.com.evil.com", {}, false},
                 {"https://evil.com/https://app.example.com", {}, false},
                 {"https://sub.app.example.com", {}, false},
                 {"https://APP.example.com", {}, false},
                 {" https://app.example.com", {}, false},
                 {"app.example.com", {}, false},
                 {"http://localhost", {}, false},
                 {"null", {}, false},
                 {"", {}, false},
                 {std::nullopt, {}, false},
                 {std::nullopt, "app.example.com", false}});
}

TEST_CASE("an empty list of origins allows none", "[origin]") {
  const OriginPolicy policy(std::vector<std::string>{});
  CHECK(policy.is_set());
  check(policy,
        {{"https://app.example.com", {}, false}, {"", {}, false}, {std::nullopt, {}, false}});
}

TEST_CASE("origins may come from a configuration", "[origin]") {
  const std::vector<std::string> configured{"https://a.example", "https://b.example"};
  const OriginPolicy policy(configured);
  check(policy, {{"https://b.example", {}, true}, {"https://c.example", {}, false}});
}

TEST_CASE("same host wants the page's host to be the requested one, port and all", "[origin]") {
  const OriginPolicy policy = OriginPolicy::same_host();
  CHECK(policy.is_set());
  check(policy, {{"https://app.example.com", "app.example.com", true},
                 {"http://localhost:8080", "localhost:8080", true},
                 {"https://APP.example.com", "app.EXAMPLE.com", true},
                 {"http://[::1]:8080", "[::1]:8080", true},
                 {std::nullopt, "app.example.com", true},  // no browser
                 {std::nullopt, std::nullopt, true},
                 {"http://localhost:8080", "localhost:9090", false},
                 {"http://localhost", "localhost:9090", false},
                 {"https://evil.example", "app.example.com", false},
                 {"https://app.example.com.evil.example", "app.example.com", false},
                 {"https://evil.example/app.example.com", "app.example.com", false},
                 {"https://app.example.co", "app.example.com", false},
                 {"app.example.com", "app.example.com", false},
                 {"null", "app.example.com", false},
                 {"null", "null", false},
                 {"", "", false},
                 {"https://", "", false},
                 {"https://app.example.com", std::nullopt, false}});
}

TEST_CASE("any origin is allowed by whoever says so", "[origin]") {
  const OriginPolicy policy = OriginPolicy::dangerously_allow_any_origin();
  CHECK(policy.is_set());
  check(policy,
        {{"https://evil.example", "app.example", true}, {std::nullopt, std::nullopt, true}});
}

}  // namespace
}  // namespace roost
