// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>

#include "load/closed_loop.hpp"

namespace load {

struct Options {
  std::string name = "the server";  ///< For what is said of it.
  std::uint16_t port = 0;
  int pid = 0;  ///< Of the server, to be measured. 0: it is not.
  bool tls = false;
  bool deflate = false;  ///< Ask for permessage-deflate, and send JSON that can be compressed.
  bool resume = false;   ///< Ask roost for positions: each message has a line before its payload.
  std::size_t connections = 1000;
  std::size_t rooms = 1;
  std::size_t concurrent = 128;  ///< Connections that are being made at the same time.
  std::size_t bytes = 64;        ///< Of payload.
  std::size_t in_flight = 1;     ///< Messages per room. 0: everybody is idle.
  double warmup = 1;             ///< Seconds.
  double seconds = 5;
  double stall = 15;  ///< Seconds without a byte after which something was lost.
};

inline constexpr const char* usage =
    "Usage: load --port N [--name NAME] [--pid N] [--tls 1] [--deflate 1] [--resume 1]\n"
    "            [--connections N] [--rooms N] [--concurrent N] [--bytes N] [--in-flight N]\n"
    "            [--warmup S] [--seconds S] [--stall S]\n"
    "Connects to ws://127.0.0.1:PORT/ws/{room}, keeps messages in flight in each room, and prints\n"
    "what it measured as a line of JSON. With --in-flight 0 the connections are idle.\n";

inline Options parse(int argc, char** argv) {
  Options options;
  const auto count = [](auto& field) {
    return [&field](const std::string& text) {
      std::size_t end = 0;
      field = static_cast<std::decay_t<decltype(field)>>(std::stoul(text, &end));
      if (end != text.size()) throw std::invalid_argument(text);
    };
  };
  const auto seconds = [](double& field) {
    return [&field](const std::string& text) { field = std::stod(text); };
  };
  const std::map<std::string, std::function<void(const std::string&)>> flags = {
      {"--name", [&](const std::string& text) { options.name = text; }},
      {"--port", count(options.port)},
      {"--pid", count(options.pid)},
      {"--tls", count(options.tls)},
      {"--deflate", count(options.deflate)},
      {"--resume", count(options.resume)},
      {"--connections", count(options.connections)},
      {"--rooms", count(options.rooms)},
      {"--concurrent", count(options.concurrent)},
      {"--bytes", count(options.bytes)},
      {"--in-flight", count(options.in_flight)},
      {"--warmup", seconds(options.warmup)},
      {"--seconds", seconds(options.seconds)},
      {"--stall", seconds(options.stall)},
  };
  for (int i = 1; i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    if (flag == flags.end() || i + 1 == argc) throw std::invalid_argument(argv[i]);
    try {
      flag->second(argv[i + 1]);
    } catch (const std::logic_error&) {
      throw std::invalid_argument(std::string(argv[i]) + ' ' + argv[i + 1]);
    }
  }
  const auto check = [](bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(what);
  };
  check(options.port != 0, "--port is missing");
  check(options.rooms > 0 && options.connections >= options.rooms,
        "--connections must be at least --rooms, and that at least 1");
  check(options.concurrent > 0, "--concurrent must be at least 1");
  check(options.bytes >= ClosedLoop::min_bytes && options.bytes < 32'768,
        "--bytes must be 32 to 32767");
  check(options.in_flight <= 0xFFFF, "--in-flight must be at most 65535");
  return options;
}

}  // namespace load
