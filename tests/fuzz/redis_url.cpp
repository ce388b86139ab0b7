// SPDX-License-Identifier: MIT
// The URL of a Redis: it is understood, or refused without a word of the password.
#include <roost/redis/connection/url.hpp>

#include <optional>
#include <string>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

using detail::RedisUrl;

struct Answer {
  std::optional<RedisUrl> url;
  std::string refusal;
};

Answer parse(const std::string& text) {
  try {
    return {detail::parse_redis_url(text), {}};
  } catch (const Error& error) {
    expect(error.code() == errc::invalid_url, "another error");
    return {std::nullopt, error.what()};
  }
}

void any(const std::string& text) {
  const auto url = parse(text).url;
  if (!url) return;
  if (url->transport == RedisUrl::Transport::unix_socket) {
    expect(url->path.starts_with('/'), "a path that is not absolute");
  } else if (!url->sentinels.empty()) {
    expect(!url->primary.empty(), "Sentinels that are asked for nothing");
    for (const detail::RedisPlace& sentinel : url->sentinels) {
      expect(!sentinel.host.empty() && sentinel.port != 0, "a Sentinel that is nowhere");
    }
  } else {
    expect(!url->host.empty() && url->port != 0, "nowhere");
  }
}

/// A password that nobody has encoded.
void careless(std::string_view before, std::string_view after) {
  static constexpr const char* secret = "hunter2";
  const std::string text =
      "redis://user:" + std::string(before) + secret + std::string(after) + "@127.0.0.1:6379/1";
  const Answer answer = parse(text);
  expect(answer.refusal.find(secret) == std::string::npos, "the password is told");
}

void encoded(std::string_view password) {
  if (password.empty()) return;
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text = "rediss://:";
  for (const char c : password) {
    const auto byte = static_cast<unsigned char>(c);
    text += {'%', digits[byte >> 4U], digits[byte & 15U]};
  }
  const auto url = parse(text + "@[::1]:1/7").url;
  expect(url && url->password == password && url->host == "::1" && url->port == 1 &&
             url->database == 7,
         "it is not understood");
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  any(std::string(input.rest()));
  const std::string_view before = input.line();
  careless(before, input.rest());
  encoded(before);
  return 0;
}
