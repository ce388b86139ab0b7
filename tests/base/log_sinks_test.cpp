#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/base/log_sinks.hpp>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

using namespace roost;
using namespace std::chrono_literals;

namespace {

// A file that nobody else sees, and what was written to it.
class Memory {
 public:
  Memory() : file_(std::tmpfile(), &std::fclose) { REQUIRE(file_); }
  [[nodiscard]] std::FILE* file() const { return file_.get(); }
  [[nodiscard]] std::string text() const {
    std::string text(static_cast<std::size_t>(std::ftell(file())), '\0');
    std::rewind(file());
    REQUIRE(std::fread(text.data(), 1, text.size(), file()) == text.size());
    return text;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

LogSinkOptions options(const Memory& memory, LogFormat format = LogFormat::logfmt) {
  const std::chrono::system_clock::time_point leap_day(
      std::chrono::sys_days(std::chrono::day(29) / 2 / 2024) + 23h + 59min + 7s + 45ms + 900us);
  return {.format = format, .file = memory.file(), .now = [=] { return leap_day; }};
}

}  // namespace

TEST_CASE("an event is one line of logfmt, with the time in UTC") {
  const Memory memory;
  Logger logger = log_to_stderr(options(memory));
  detail::log(logger, Severity::warning, "origin_denied", {{"origin", "https://evil.example"}});
  detail::log(logger, Severity::info, "started");
  logger = nullptr;  // waits for what is queued
  CHECK(memory.text() ==
        "time=2024-02-29T23:59:07.045Z level=warning event=origin_denied "
        "origin=\"https://evil.example\"\n"
        "time=2024-02-29T23:59:07.045Z level=info event=started\n");
}

TEST_CASE("an event is one line of JSON, whatever a peer sent") {
  const Memory memory;
  Logger logger = log_to_stderr(options(memory, LogFormat::json));
  detail::log(logger, Severity::error, "hook_failed",
              {{"id", "a\"\n\\{\xff"}, {"name", "J\xc3\xbcrgen"}});
  logger = nullptr;
  const std::string line = memory.text();
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(nlohmann::json::parse(line) == nlohmann::json{{"time", "2024-02-29T23:59:07.045Z"},
                                                      {"level", "error"},
                                                      {"event", "hook_failed"},
                                                      {"id", R"(a\x22\x0a\x5c{\xff)"},
                                                      {"name", "J\xc3\xbcrgen"}});
}

TEST_CASE("events less severe than asked for are left out") {
  const Memory memory;
  LogSinkOptions strict = options(memory);
  strict.least = Severity::warning;
  Logger logger = log_to_stderr(strict);
  for (const Severity s : {Severity::debug, Severity::info, Severity::warning, Severity::error}) {
    detail::log(logger, s, to_string(s));
  }
  logger = nullptr;
  const std::string text = memory.text();
  CHECK(text.find("event=debug") == text.npos);
  CHECK(text.find("event=info") == text.npos);
  CHECK(text.find("event=warning") != text.npos);
  CHECK(text.find("event=error") != text.npos);
}

TEST_CASE("the lines of several threads do not mix") {
  const Memory memory;
  Logger logger = log_to_stderr(options(memory));
  std::vector<std::thread> threads;
  for (const char c : {'a', 'b', 'c'}) {
    threads.emplace_back([&logger, c] {
      for (int i = 0; i < 200; ++i) {
        detail::log(logger, Severity::info, "said", {{"text", std::string(100, c)}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  logger = nullptr;
  const std::string prefix = "time=2024-02-29T23:59:07.045Z level=info event=said text=\"";
  std::string text = memory.text();
  int lines = 0;
  while (!text.empty()) {
    const std::string line = text.substr(0, text.find('\n') + 1);
    text.erase(0, line.size());
    const std::string wanted = prefix + std::string(100, line[prefix.size()]) + "\"\n";
    if (line == wanted) ++lines;
  }
  CHECK(lines == 600);
}
