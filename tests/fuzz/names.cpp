// SPDX-License-Identifier: MIT
// Names of rooms, origins of pages, and patterns for these: nothing passes that must not.
#include <roost/access/origin_policy.hpp>
#include <roost/base/error.hpp>
#include <roost/base/text/text.hpp>

#include <algorithm>
#include <optional>
#include <string>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

void name(std::string_view text) {
  constexpr std::size_t longest = 20;
  bool is_valid = true;
  try {
    detail::validate_room_name(text, longest);
  } catch (const Error& error) {
    expect(error.code() == errc::invalid_room_name, "another error");
    expect(detail::is_utf8(error.what()) && !detail::has_control(error.what()),
           "a message that does not fit into one line");
    is_valid = false;
  }
  const bool may_be_valid = !text.empty() && text.size() <= longest && detail::is_utf8(text) &&
                            !detail::has_control(text);
  expect(is_valid == may_be_valid, "a name is judged wrongly");
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), detail::lower);
  return out;
}

/// Takes @p port off the end, with the zeros that no browser writes.
std::string without_port(std::string text, std::string_view port) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return text;
  std::string_view digits = std::string_view(text).substr(colon + 1);
  if (digits.empty()) return text;
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  if (digits == port) text.erase(colon);
  return text;
}

/// Which origins pass.
void origin(std::string_view text, std::string_view host) {
  static const OriginPolicy listed{"https://app.example.com", "https://*.example.net"};
  const std::string plain = without_port(lower(text), "443");
  if (listed.allows(text)) {
    const bool is_sub = plain.starts_with("https://") && plain.ends_with(".example.net") &&
                        plain.find_first_of("/@:?#\\", 8) == plain.npos;
    expect(plain == "https://app.example.com" || is_sub, "an origin passes that is not listed");
  }
  static const OriginPolicy same = OriginPolicy::same_host();
  if (same.allows(text, host) && host.find('[') == host.npos) {
    const std::string_view port = plain.starts_with("https://") ? "443" : "80";
    const std::string page = without_port(lower(text), port);
    expect(page.substr(page.find("://") + 3) == without_port(lower(host), port) ||
               page.rfind(':') > page.find(':'),
           "a page of another host passes");
  }
}

void pattern(std::string_view text) {
  std::optional<detail::OriginPattern> pattern;
  try {
    pattern.emplace(text);
  } catch (const Error& error) {
    expect(error.code() == errc::invalid_option, "another error");
    return;
  }
  const auto matches = [&](const std::string& page) {
    detail::PageOrigin parsed;
    return detail::parse_origin(page, parsed) == nullptr && pattern->matches(parsed);
  };
  std::string domain(text);
  const std::size_t star = domain.find("*.");
  if (star == domain.npos) {
    expect(matches(domain) && matches(lower(domain)), "a pattern does not match itself");
    return;
  }
  domain.erase(star, 2);
  const std::string before = domain.substr(0, star);
  const std::string after = domain.substr(star);
  expect(!matches(domain), "a domain is its own subdomain");
  expect(!matches(before + "evil" + after), "another domain matches");
  expect(matches(before + "a." + after) && matches(before + "b.a." + after),
         "a subdomain does not match");
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  name(input.rest());
  const std::string_view first = input.line();
  pattern(first);
  origin(first, input.line());
  return 0;
}
