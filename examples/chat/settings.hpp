// The command line of the chat server.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

struct Settings {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;
  std::vector<std::string> allowed_origins;
  std::string certificate;
  std::string key;
  std::string redis;
  std::string channel = "roost-chat";
  std::chrono::seconds lease{30};
  std::chrono::seconds linger{15};
  std::chrono::seconds heartbeat{30};
  bool help = false;
};

inline constexpr std::string_view usage = R"(Usage: chat [options]
  --port N              the port to listen on; 0: any free port (default 8080)
  --address IP          the address to listen on (default 127.0.0.1; 0.0.0.0: all addresses)
  --allow-origin URL    pages of this origin may connect, instead of those of this server; repeatable
  --cert FILE, --key FILE
                        serve HTTPS, with this certificate chain and key (PEM)
  --redis URL           be one chat with all servers that use this Redis, for example
                        redis://localhost:6379/0, or redis+sentinel://host:26379/mymaster
  --channel NAME        with --redis: be one chat only with servers of the same name (default
                        roost-chat). The database, such as the /0 above, does not separate chats
  --lease SECONDS       with --redis: the members of a server that has died leave so long after its
                        last sign of life, unless they are back by then (5 to 300, default 30)
  --linger SECONDS      a member whose last connection has ended leaves so much later, unless the
                        member is back by then (0 to 3600, default 15)
  --heartbeat SECONDS   ask each client so often whether it is still there; one that has not
                        answered for three times as long is dropped (default 30)
  --help                this text
)";

inline std::uint16_t number(const std::string& flag, const std::string& text, std::uint16_t least,
                            std::uint16_t most = 65535) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || value < least || value > most) {
    throw std::invalid_argument(flag + " must be a number from " + std::to_string(least) + " to " +
                                std::to_string(most) + ", not " + text);
  }
  return value;
}

inline Settings parse(const std::vector<std::string>& arguments) {
  Settings settings;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& flag = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == arguments.size()) throw std::invalid_argument(flag + " needs a value");
      return arguments[++i];
    };
    if (flag == "--help") {
      settings.help = true;
    } else if (flag == "--port") {
      settings.port = number(flag, value(), 0);
    } else if (flag == "--heartbeat") {
      settings.heartbeat = std::chrono::seconds(number(flag, value(), 1));
    } else if (flag == "--lease") {
      settings.lease = std::chrono::seconds(number(flag, value(), 5, 300));
    } else if (flag == "--linger") {
      settings.linger = std::chrono::seconds(number(flag, value(), 0, 3600));
    } else if (flag == "--address") {
      settings.address = value();
    } else if (flag == "--cert") {
      settings.certificate = value();
    } else if (flag == "--key") {
      settings.key = value();
    } else if (flag == "--redis") {
      settings.redis = value();
    } else if (flag == "--channel") {
      settings.channel = value();
      if (settings.channel.empty()) throw std::invalid_argument("--channel must not be empty");
    } else if (flag == "--allow-origin") {
      settings.allowed_origins.push_back(value());
    } else {
      throw std::invalid_argument("unknown option " + flag + "; see --help");
    }
  }
  if (settings.certificate.empty() != settings.key.empty()) {
    throw std::invalid_argument("--cert and --key need each other");
  }
  return settings;
}
