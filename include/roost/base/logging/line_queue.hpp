// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/line_writer.hpp"

namespace roost::detail {

/// The lines of one writer in one process, and the thread that writes them: only that ever waits
/// for whoever is to take them.
class LineQueue : public std::enable_shared_from_this<LineQueue> {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit LineQueue(std::shared_ptr<const LineWriterOptions> options)
      : options_(std::move(options)) {}

  /// Queues a line, which gets its line break; starts the thread for the first.
  /// @returns false if there is no room for it: then it is counted as lost.
  bool push(std::string line) noexcept;
  [[nodiscard]] std::uint64_t lost() const noexcept;

  /// Waits until nothing is queued, at most until @p give_up.
  void flush(time_point give_up) noexcept;
  /// The same, then ends the thread. One that waits in `write` ends when that returns, and writes
  /// nothing more.
  void end() noexcept;

  [[nodiscard]] const LineWriterOptions& options() const noexcept { return *options_; }

 private:
  struct Line {
    std::string text;        // with its line break; empty: only to tell what was lost
    std::uint64_t lost = 0;  // before it, and to be told
    [[nodiscard]] std::size_t cost() const noexcept { return sizeof(Line) + text.size(); }
  };

  void start();
  void run();
  /// Waits for the next lines, which fit into one write, and opens the file for it. None: the end.
  std::vector<Line> next_lines();
  void open_file() noexcept;
  void close_file() noexcept;
  void write(const std::vector<Line>& lines);
  /// @returns how many bytes were written before it failed, or had to be given up.
  std::size_t write(std::string_view bytes) noexcept;
  [[nodiscard]] bool wait_until_writable() noexcept;
  [[nodiscard]] bool is_given_up() noexcept;

  const std::shared_ptr<const LineWriterOptions> options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable changed_;
  std::deque<Line> lines_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t untold_ = 0;  // of those
  bool is_writing_ = false;
  bool has_failed_ = false;  // the last write
  bool is_torn_ = false;     // it failed in the middle of a line
  bool is_ending_ = false;
  bool has_ended_ = false;
  time_point give_up_ = time_point::max();
  int file_ = -1;  // of the system's; negative: the file is none
  bool owns_file_ = false;
  std::thread thread_;
};

}  // namespace roost::detail
