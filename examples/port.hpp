// What most of these examples share: reading the port from the arguments, and printing a line.
#pragma once

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <roost/base/log_sinks.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

// The loopback address with the port of the first argument, by default 8080. With port 0 the system
// chooses a free port.
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

// Prints a line to stdout without blocking. `std::cout` would stop the event loop while the pipe
// behind it is full, and SIGPIPE would end the server when the reader of the pipe has ended.
inline void say_line(std::string line) {
  static roost::LineWriter out({.file = stdout});  // one for all lines, which keep their order
  out.write(std::move(line));
}
template <class... Parts>
void say(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  say_line(line.str());
}
