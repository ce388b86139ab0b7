// SPDX-License-Identifier: MIT
// A logger that remembers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <roost/base/log.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace roost::test {

class Log {
 public:
  struct Line {
    Severity severity;
    std::string event;
    std::string text;
  };

  Logger logger() {
    return [this](const LogEvent& event) {
      lines_.push_back({event.severity, std::string(event.event), event.to_string()});
    };
  }

  const std::vector<Line>& lines() const { return lines_; }
  std::size_t count(std::string_view event) const {
    return static_cast<std::size_t>(std::count_if(
        lines_.begin(), lines_.end(), [&](const Line& line) { return line.event == event; }));
  }
  std::size_t count(Severity severity, std::string_view event) const {
    return static_cast<std::size_t>(std::count_if(
        lines_.begin(), lines_.end(),
        [&](const Line& line) { return line.severity == severity && line.event == event; }));
  }
  /// The last line of an event, empty if there is none.
  std::string last(std::string_view event) const {
    for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
      if (line->event == event) return line->text;
    }
    return {};
  }

 private:
  std::vector<Line> lines_;
};

}  // namespace roost::test
