#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <roost/spdlog.hpp>
#include <sstream>
#include <string>

#include "catch.hpp"

using namespace roost;

namespace {

std::shared_ptr<spdlog::logger> logger_to(std::ostringstream& out) {
  auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(out));
  logger->set_pattern("%l: %v");
  return logger;
}

}  // namespace

TEST_CASE("spdlog gets each event with its level, and braces are no format") {
  std::ostringstream out;
  const auto to = logger_to(out);
  to->set_level(spdlog::level::trace);
  const Logger logger = log_to_spdlog(to);
  detail::log(logger, Severity::debug, "a");
  detail::log(logger, Severity::info, "b", {{"id", "{} {0}\n"}});
  detail::log(logger, Severity::warning, "c");
  detail::log(logger, Severity::error, "d");
  CHECK(out.str() == "debug: a\ninfo: b id=\"{} {0}\\x0a\"\nwarning: c\nerror: d\n");
}

TEST_CASE("the level of the spdlog logger decides what it gets") {
  std::ostringstream out;
  const auto to = logger_to(out);
  to->set_level(spdlog::level::err);
  const Logger logger = log_to_spdlog(to);
  detail::log(logger, Severity::warning, "c");
  detail::log(logger, Severity::error, "d");
  CHECK(out.str() == "error: d\n");
}

TEST_CASE("without a logger events go to spdlog's default one") {
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  const Logger logger = log_to_spdlog();
  spdlog::set_default_logger(logger_to(out));
  detail::log(logger, Severity::warning, "c");
  spdlog::set_default_logger(before);
  CHECK(out.str() == "warning: c\n");
}
