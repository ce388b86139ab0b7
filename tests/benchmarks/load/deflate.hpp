// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/beast/zlib/error.hpp>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <cstddef>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace load {

/// Texts that look like what applications send, no two alike.
inline std::vector<std::string> varied_json(std::size_t bytes) {
  static constexpr std::array words = {"price", "lobby", "update", "hello", "moved", "order",
                                       "green", "north", "player", "score", "chart", "message"};
  std::minstd_rand random(1);
  std::vector<std::string> texts(256);
  for (std::string& text : texts) {
    while (text.size() < bytes) {
      text += R"({"id":)" + std::to_string(random()) + R"(,"kind":")" +
              words[random() % words.size()] + R"(","x":)" + std::to_string(random() % 10'000) +
              R"(,"text":")" + words[random() % words.size()] + ' ' +
              words[random() % words.size()] + R"("},)";
    }
    text.resize(bytes);
  }
  return texts;
}

/// Inflates each message once: all who get it get the same bytes.
class Inflating {
 public:
  /// @returns valid until the next call
  std::string_view operator()(std::string_view compressed) {
    constexpr std::size_t most = 4'096;
    if (known_.size() >= most) known_.clear();
    key_.assign(compressed);
    const auto [found, is_new] = known_.try_emplace(key_);
    if (is_new) found->second = inflate(key_);
    return found->second;
  }

 private:
  static std::string inflate(std::string compressed) {
    namespace zlib = boost::beast::zlib;
    compressed.append("\x00\x00\xFF\xFF", 4);  // RFC 7692, section 7.2.2
    static zlib::inflate_stream stream;
    stream.reset();
    std::string text(65'536, '\0');
    zlib::z_params io;
    io.next_in = compressed.data();
    io.avail_in = compressed.size();
    io.next_out = text.data();
    io.avail_out = text.size();
    boost::beast::error_code error;
    stream.write(io, zlib::Flush::sync, error);
    if (error || io.avail_in > 0) throw std::runtime_error("a message that cannot be inflated");
    text.resize(text.size() - io.avail_out);
    return text;
  }

  std::unordered_map<std::string, std::string> known_;
  std::string key_;
};

}  // namespace load
