// SPDX-License-Identifier: MIT
// Which I/O calls there were, and which one of them is to go wrong.
#pragma once

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <limits>
#include <ostream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::test {

/// A function of `detail::Transport`.
enum class Io { open, read, write_some, write, shutdown };

constexpr std::string_view to_string(Io io) {
  constexpr std::string_view names[] = {"async_open", "async_read", "write_some", "async_write",
                                        "async_shutdown"};
  return names[static_cast<std::size_t>(io)];
}

/// An I/O call: the @p nth of its kind on a connection. Counted for each connection and kind, so
/// that it is the same call in every run, in whatever order those of others come.
struct Point {
  std::size_t connection = 0;
  Io io = Io::open;
  std::size_t nth = 0;
  std::size_t bytes = 0;  ///< that it has read, or was asked to write

  bool is(const Point& other) const {
    return connection == other.connection && io == other.io && nth == other.nth;
  }
};

/// What happens to one call.
enum class Action {
  none,
  fail,               ///< It fails at once.
  fail_late,          ///< It fails when it would have completed.
  reset,              ///< The network breaks the connection: this call and all later ones fail.
  hold,               ///< It completes when nothing else can run.
  hold_long,          ///< It completes after every deadline has passed.
  hold_to_end,        ///< It does not complete by itself; the rest of the scenario goes on.
  split,              ///< It moves only so many bytes.
  tear_down,          ///< Everything is destroyed there, first the manager,
  tear_down_context,  ///< or first the `io_context`.
};

constexpr std::string_view to_string(Action action) {
  constexpr std::string_view names[] = {"does nothing",
                                        "fails",
                                        "fails late",
                                        "breaks the connection",
                                        "is held",
                                        "is held long",
                                        "is held to the end",
                                        "is cut",
                                        "is the last",
                                        "is the last of its context"};
  return names[static_cast<std::size_t>(action)];
}

constexpr bool holds(Action action) {
  return action == Action::hold || action == Action::hold_long || action == Action::hold_to_end;
}

constexpr bool tears_down(Action action) {
  return action == Action::tear_down || action == Action::tear_down_context;
}

struct Fault {
  Point at = {};
  Action action = Action::none;
  boost::system::error_code error = {};
  std::size_t bytes = 0;  ///< of a split

  friend std::ostream& operator<<(std::ostream& out, const Fault& fault) {
    out << to_string(fault.at.io) << " no. " << fault.at.nth << " of connection "
        << fault.at.connection << " (" << fault.at.bytes << " bytes) " << to_string(fault.action);
    if (fault.error) out << " with " << fault.error.message();
    if (fault.action == Action::split) out << " after " << fault.bytes;
    return out;
  }
};

/// Shared by the transports of one run: counts their calls, and plays one fault.
class Script {
 public:
  explicit Script(Fault fault = {}) : fault_(std::move(fault)) {}
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  /// One call, as its transport sees it.
  struct Call {
    std::size_t index = 0;
    Action action = Action::none;

    bool is_to_fail() const {
      return action == Action::fail || action == Action::fail_late || action == Action::reset;
    }
  };

  Call begin(std::size_t connection, Io io, std::size_t bytes = 0) {
    if (calls_.size() == most_calls) throw std::logic_error("the server makes calls without end");
    const auto nth = static_cast<std::size_t>(std::count_if(
        calls_.begin(), calls_.end(),
        [&](const Point& call) { return call.connection == connection && call.io == io; }));
    calls_.push_back({.connection = connection, .io = io, .nth = nth, .bytes = bytes});
    if (has_failed_ && connection == fault_.at.connection) goes_on_ = true;
    const bool is_it = fault_.action != Action::none && fault_.at.is(calls_.back());
    if (!is_it) return {.index = calls_.size() - 1};
    was_hit_ = true;
    is_torn_down_ = tears_down(fault_.action);
    return {.index = calls_.size() - 1, .action = fault_.action};
  }
  void has_read(const Call& call, std::size_t bytes) { calls_[call.index].bytes = bytes; }

  /// The error of the call that fails; from now on the server is expected to know.
  const boost::system::error_code& fail() {
    has_failed_ = true;
    return fault_.error;
  }
  /// How many bytes a call may move.
  std::size_t limit(const Call& call) const {
    return call.action == Action::split ? fault_.bytes : std::numeric_limits<std::size_t>::max();
  }

  // --- a call that is held ---

  void hold() { is_holding_ = true; }
  void let_go() { is_holding_ = false; }
  bool is_holding() const { return is_holding_; }
  bool is_released() const { return is_released_; }
  void release() { is_released_ = true; }

  // --- what came of it ---

  const std::vector<Point>& calls() const { return calls_; }
  const Fault& fault() const { return fault_; }
  bool was_hit() const { return was_hit_; }
  /// The server called a transport again that had told it of an error.
  bool goes_on() const { return goes_on_; }
  bool is_torn_down() const { return is_torn_down_; }

  /// Transports that are not destroyed yet.
  std::size_t transports = 0;

 private:
  static constexpr std::size_t most_calls = 1'000;  // many times what a chat needs

  const Fault fault_;
  std::vector<Point> calls_;
  bool was_hit_ = false;
  bool has_failed_ = false;
  bool goes_on_ = false;
  bool is_holding_ = false;
  bool is_released_ = false;
  bool is_torn_down_ = false;
};

}  // namespace roost::test
