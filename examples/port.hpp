// The only argument of most of these examples: a port; 0 is any that is free.
#pragma once

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <system_error>

inline boost::asio::ip::tcp::endpoint endpoint_of(int argc, char** argv) {
  std::uint16_t port = 8080;
  if (argc > 1) {
    const std::string_view text = argv[1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) {
      std::cerr << "the port must be a number from 0 to 65535, not " << text << '\n';
      std::exit(2);
    }
  }
  return {boost::asio::ip::address_v4::loopback(), port};
}
