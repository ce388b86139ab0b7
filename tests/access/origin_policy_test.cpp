// SPDX-License-Identifier: MIT
#include <roost/access/origin_policy.hpp>
#include <roost/base/error.hpp>
#include <roost/base/text/text.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using Header = std::optional<std::string_view>;
constexpr std::nullopt_t none = std::nullopt;

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

/// One entry of a list, and what it makes of origins.
struct Listed {
  std::string_view pattern;
  std::vector<std::string_view> allowed;
  std::vector<std::string_view> refused;
};

TEST_CASE("a policy that is not set allows every request", "[origin]") {
  const OriginPolicy policy;
  CHECK_FALSE(policy.is_set());
  check(policy,
        {{"https://evil.example", "app.example", true}, {none, none, true}, {"", "", true}});
}

TEST_CASE("an entry of the list stands for the pages of one origin, or of subdomains", "[origin]") {
  const std::vector<Listed> cases{
      {"https://app.example.com",
       {"https://app.example.com", "https://app.example.com:443", "HTTPS://APP.Example.com"},
       {"http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:80",
        "https://app.example.com/",
        "https://app.example.com.evil.com",
        "https://app.example.co",
        "https://evil.com/https://app.example.com",
        "https://sub.app.example.com",
        "https://example.com",
        "https://app.example.com@evil.com",
        "https://app.example.com:",
        "https://app.example.com:0",
        "https://app.example.com:+443",
        "https://app.example.com:443x",
        "https://app.example.com:65979",
        " https://app.example.com",
        "https://app.example.com ",
        "https://app.example.com, https://evil.com",
        "https://app.example.com https://evil.com",
        "https://app.example.com.",
        "https:app.example.com",
        "https://",
        "://app.example.com",
        "app.example.com",
        "wss://app.example.com",
        "file://",
        "null",
        "NULL",
        ""}},
      {"HTTPS://App.EXAMPLE.com:0443", {"https://app.example.com"}, {"http://app.example.com:443"}},
      {"http://localhost:3000",
       {"http://localhost:3000", "http://LOCALHOST:3000"},
       {"http://localhost", "http://localhost:30000", "https://localhost:3000",
        "http://127.0.0.1:3000", "http://localhost:3000.evil.com"}},
      {"http://app.example.com:80",
       {"http://app.example.com", "http://app.example.com:80"},
       {"https://app.example.com:80", "http://app.example.com:8080"}},
      {"http://app.example.com:443", {"http://app.example.com:443"}, {"https://app.example.com"}},
      // A dot at its end makes a name another, as in browsers.
      {"https://app.example.com.", {"https://app.example.com."}, {"https://app.example.com"}},
      {"https://xn--bcher-kva.example",
       {"https://xn--bcher-kva.example", "https://XN--BCHER-KVA.example"},
       {"https://b\xC3\xBC"
        "cher.example",
        "https://b%C3%BCcher.example", "https://bucher.example"}},
      {"https://my_app.example.com", {"https://my_app.example.com"}, {"https://myapp.example.com"}},
      {"http://192.168.0.1:8080",
       {"http://192.168.0.1:8080"},
       {"http://192.168.0.10:8080", "http://192.168.1:8080", "http://192.168.0.1.:8080"}},
      {"http://[::1]:8080",
       {"http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080"},
       {"http://[::1]", "http://[::2]:8080", "http://::1:8080", "http://[::1:8080",
        "http://[::1%251]:8080", "http://[]:8080", "http://[::1]8080"}},
      {"https://[2001:0DB8:0:0::00ff]",
       {"https://[2001:db8::ff]", "https://[2001:DB8::FF]:443"},
       {"https://[2001:db8::fe]"}},
      {"https://*.example.com",
       {"https://app.example.com", "https://a.b.c.example.com", "https://APP.Example.COM:443"},
       {"https://example.com", "https://.example.com", "https://evilexample.com",
        "https://evil-example.com", "https://app.example.com.evil.com", "http://app.example.com",
        "https://app.example.com:8443", "https://a..example.com", "https://*.example.com",
        "https://evil.com/.example.com", "https://evil.com#.example.com", "https://example.com.",
        "https://evil.com\\.example.com", "https://evil.com?.example.com",
        "https://evil.com:443.example.com", "https://evil@app.example.com", "null", ""}},
      {"https://*.example.com:8443",
       {"https://app.example.com:8443"},
       {"https://app.example.com", "https://example.com:8443"}},
      {"http://*.localhost:3000", {"http://app.localhost:3000"}, {"http://localhost:3000"}},
      // What some app frameworks and extensions send.
      {"capacitor://localhost",
       {"capacitor://localhost"},
       {"http://localhost", "ionic://localhost"}},
      {"chrome-extension://abcdefghijklmnop", {"chrome-extension://abcdefghijklmnop"}, {}}};
  for (const auto& [pattern, allowed, refused] : cases) {
    const OriginPolicy policy = {pattern};
    CAPTURE(pattern);
    CHECK(policy.is_set());
    for (const std::string_view origin : allowed) check(policy, {{origin, "other.example", true}});
    for (const std::string_view origin : refused) {
      // That the request is for the same host changes nothing.
      check(policy, {{origin, none, false}, {origin, "app.example.com", false}});
    }
    check(policy, {{none, none, false}, {none, "app.example.com", false}});
  }
}

TEST_CASE("an entry that cannot be meant so is refused, with its name and the reason", "[origin]") {
  struct Bad {
    std::string pattern;
    std::string why;
  };
  const std::vector<Bad> cases{{"", "it must begin with a scheme"},
                               {"app.example.com", "it must begin with a scheme"},
                               {"//app.example.com", "it must begin with a scheme"},
                               {"://app.example.com", "its scheme is not valid"},
                               {"1http://app.example.com", "its scheme is not valid"},
                               {"*://app.example.com", "a * stands for subdomains only"},
                               {"wss://app.example.com", "begins with http:// or https://"},
                               {"ws://app.example.com", "begins with http:// or https://"},
                               {"https://", "there is no host"},
                               {"https://:443", "there is no host"},
                               {"https://app.example.com/", "no path"},
                               {"https://app.example.com/chat", "no path"},
                               {"https://app.example.com?a=b", "no path"},
                               {"https://app.example.com#a", "no path"},
                               {"https://user:password@app.example.com", "no user"},
                               {"https://app.example.com:", "1 to 65535"},
                               {"https://app.example.com:0", "1 to 65535"},
                               {"https://app.example.com:65536", "1 to 65535"},
                               {"https://app.example.com:https", "1 to 65535"},
                               {"https://app.example.com:-1", "1 to 65535"},
                               {"https://app.example.com:*", "a * stands for subdomains only"},
                               {"https://app..example.com", "a label of the host is empty"},
                               {"https://.example.com", "a label of the host is empty"},
                               {"https://.", "a label of the host is empty"},
                               {"https://app example.com", "a character that hosts cannot have"},
                               {" https://app.example.com", "its scheme is not valid"},
                               {"https://app.example.com, https://b.example", "no path"},
                               {"https://app.example.com\n", "a character that hosts cannot have"},
                               {"https://b\xC3\xBC"
                                "cher.example",
                                "punycode"},
                               {"https://127.1", "not an IPv4 address"},
                               {"https://1.2.3.4.5", "not an IPv4 address"},
                               {"https://256.0.0.1", "not an IPv4 address"},
                               {"https://::1", "there is no host"},
                               {"https://[::1", "not an IPv6 address"},
                               {"https://[::1%eth0]", "not an IPv6 address"},
                               {"https://[::g]", "not an IPv6 address"},
                               {"https://[1:2:3]", "not an IPv6 address"},
                               {"https://[" + std::string(100, '1') + "]", "not an IPv6 address"},
                               {"https://[::1]x80", "1 to 65535"},
                               {"*", "dangerously_allow_any_origin()"},
                               {"https://*", "a * stands for subdomains only"},
                               {"https://*:443", "a * stands for subdomains only"},
                               {"https://*.", "there is no host"},
                               {"https://*.com", "a whole top-level domain"},
                               {"https://*.com.", "a whole top-level domain"},
                               {"https://*.*.example.com", "a * stands for subdomains only"},
                               {"https://app.*.example.com", "a * stands for subdomains only"},
                               {"https://app*.example.com", "a * stands for subdomains only"},
                               {"https://app.example.*", "a * stands for subdomains only"},
                               {"https://*.1.2.3.4", "an address has no subdomains"},
                               {"https://*.[::1]", "an address has no subdomains"},
                               {"null", "dangerously_allow_null_origin()"},
                               {"file://", "dangerously_allow_null_origin()"},
                               {"file:///home/me/page.html", "dangerously_allow_null_origin()"}};
  for (const auto& [pattern, why] : cases) {
    CAPTURE(pattern);
    std::string what;
    try {
      const OriginPolicy policy(std::vector<std::string>{"https://good.example", pattern});
    } catch (const Error& error) {
      CHECK(is(error, errc::invalid_option));
      what = error.what();
    }
    CHECK(what.starts_with("allowed origin \"" + detail::escape_for_log(pattern) + "\": "));
    CHECK(what.find(why) != std::string::npos);
    CHECK_THROWS_AS((OriginPolicy{"https://good.example", pattern}), Error);
  }
}

TEST_CASE("an empty list of origins allows none", "[origin]") {
  const OriginPolicy policy(std::vector<std::string>{});
  CHECK(policy.is_set());
  check(policy, {{"https://app.example.com", none, false}, {"", none, false}, {none, none, false}});
}

TEST_CASE("origins may come from a configuration", "[origin]") {
  const std::vector<std::string> configured{"https://a.example", "https://b.example"};
  const OriginPolicy policy(configured);
  check(policy, {{"https://a.example", none, true},
                 {"https://b.example", none, true},
                 {"https://c.example", none, false}});
}

TEST_CASE("clients that are no browsers pass where the policy says so", "[origin]") {
  const OriginPolicy pages_only = {"https://app.example.com"};
  check(pages_only.allow_missing(), {{none, none, true},
                                     {"https://app.example.com", none, true},
                                     {"https://evil.example", none, false},
                                     {"null", none, false},
                                     {"", none, false}});
  check(pages_only, {{none, none, false}});  // it is as before
}

TEST_CASE("pages without an origin pass where the policy dangerously says so", "[origin]") {
  const OriginPolicy list = {"https://app.example.com"};
  const OriginPolicy same_host = OriginPolicy::same_host();
  for (const auto& policy : {list, same_host, list.allow_missing()}) {
    CHECK(policy.dangerously_allow_null_origin().is_set());
    check(policy.dangerously_allow_null_origin(), {{"null", "null", true},
                                                   {"file://", none, true},
                                                   {"https://evil.example", none, false},
                                                   {"file://evil", "evil", false},
                                                   {"Null", none, false},
                                                   {"", "", false}});
    check(policy, {{"null", "null", false}, {"file://", "", false}});
  }
  check(list.dangerously_allow_null_origin(), {{none, none, false}});
}

TEST_CASE("same host wants the page's host to be the requested one, port and all", "[origin]") {
  const OriginPolicy policy = OriginPolicy::same_host();
  CHECK(policy.is_set());
  check(policy, {{"https://app.example.com", "app.example.com", true},
                 {"http://localhost:8080", "localhost:8080", true},
                 {"https://APP.example.com", "app.EXAMPLE.com", true},
                 {"http://[::1]:8080", "[::1]:8080", true},
                 {"http://[::1]", "[0:0::1]", true},
                 {"http://127.0.0.1", "127.0.0.1", true},
                 // Some proxies add the default port.
                 {"https://app.example.com", "app.example.com:443", true},
                 {"http://app.example.com", "app.example.com:80", true},
                 {"https://app.example.com.", "app.example.com.", true},
                 {none, "app.example.com", true},  // no browser
                 {none, none, true},
                 {"https://app.example.com", "app.example.com:80", false},
                 {"http://app.example.com", "app.example.com:443", false},
                 {"https://app.example.com:8443", "app.example.com", false},
                 {"http://localhost:8080", "localhost:9090", false},
                 {"http://localhost", "localhost:9090", false},
                 {"http://localhost", "127.0.0.1", false},
                 {"https://app.example.com.", "app.example.com", false},
                 {"https://app.example.com", "backend:8080", false},  // a proxy rewrote it
                 {"https://evil.example", "app.example.com", false},
                 {"https://app.example.com.evil.example", "app.example.com", false},
                 {"https://evil.example/app.example.com", "app.example.com", false},
                 {"https://user@app.example.com", "user@app.example.com", false},
                 {"https://app.example.com/x", "app.example.com/x", false},
                 {"https://app.example.co", "app.example.com", false},
                 {"https://app.example.com", "app.example.com, evil.example", false},
                 {"https://app.example.com", "app.example.com:", false},
                 {"capacitor://localhost", "localhost", false},
                 {"app.example.com", "app.example.com", false},
                 {"null", "app.example.com", false},
                 {"null", "null", false},
                 {"", "", false},
                 {"", "app.example.com", false},
                 {"https://", "", false},
                 {"https://app.example.com", "", false},
                 {"https://app.example.com", none, false}});
}

TEST_CASE("any origin is allowed by whoever says so", "[origin]") {
  const OriginPolicy policy = OriginPolicy::dangerously_allow_any_origin();
  CHECK(policy.is_set());
  check(policy, {{"https://evil.example", "app.example", true},
                 {"null", none, true},
                 {"", "", true},
                 {none, none, true}});
}

}  // namespace
}  // namespace roost
