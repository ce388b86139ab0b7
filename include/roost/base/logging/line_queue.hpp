// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>
#include <unistd.h>
#include <atomic>
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
#include <utility>
#include <vector>

#include "roost/base/log_sinks.hpp"

namespace roost::detail {

/// Holds one object per process. A child made by `fork` inherits a copy of its parent's object
/// without the object's threads, and perhaps with a mutex that a missing thread holds. So a child
/// never touches that copy, and makes an object of its own when it needs one.
///
/// @par Thread safety  From any thread.
template <class T>
class PerProcess {
 public:
  PerProcess() = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  /// Destroys the object of this process. Copies inherited from ancestors are left alone.
  ~PerProcess() {
    Node* const node = newest_.load(std::memory_order_acquire);
    if (is_ours(node)) delete node;
  }

  /// Returns the object of this process, or null if there is none.
  [[nodiscard]] T* find() const noexcept {
    Node* const node = newest_.load(std::memory_order_acquire);
    return is_ours(node) ? &node->value : nullptr;
  }

  /// Returns the object of this process, and makes it if there is none.
  /// @param make  returns a `T`; if several threads make one, the first is kept
  template <class Make>
  T& get(Make make) {
    Node* node = newest_.load(std::memory_order_acquire);
    if (is_ours(node)) return node->value;
    auto fresh = std::make_unique<Node>(Node{::getpid(), make(), node});
    if (newest_.compare_exchange_strong(node, fresh.get(), std::memory_order_acq_rel)) {
      return fresh.release()->value;
    }
    return node->value;
  }

 private:
  struct Node {
    pid_t process;
    T value;
    Node* of_parent;  // kept, so that leak checkers can reach it
  };

  [[nodiscard]] static bool is_ours(const Node* node) noexcept {
    return node && node->process == ::getpid();
  }

  std::atomic<Node*> newest_ = nullptr;
};

/// The queued lines of one writer in one process, and the thread that writes them. Only this thread
/// ever blocks on the file.
class LineQueue : public std::enable_shared_from_this<LineQueue> {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit LineQueue(std::shared_ptr<const LineWriterOptions> options)
      : options_(std::move(options)) {}

  /// Queues @p line with a line break appended. The first call starts the thread.
  /// @returns false if the line does not fit: it is counted as lost
  bool push(std::string line) noexcept;
  [[nodiscard]] std::uint64_t lost() const noexcept;

  /// Waits until nothing is queued, or until @p give_up.
  void flush(time_point give_up) noexcept;
  /// Waits until nothing is queued, for at most `exit_timeout`, then ends the thread. If the thread
  /// is blocked in `write`, it ends when that call returns, and writes nothing more.
  void end() noexcept;

  [[nodiscard]] const LineWriterOptions& options() const noexcept { return *options_; }

 private:
  struct Line {
    std::string text;        // with its line break; empty: only reports lost lines
    std::uint64_t lost = 0;  // lines lost before this one, still to be reported
    [[nodiscard]] std::size_t cost() const noexcept { return sizeof(Line) + text.size(); }
  };

  void start();
  void run();
  /// Waits for the next lines, as many as fit into one write, and opens the file. Returns no lines
  /// when the thread must end.
  std::vector<Line> next_lines();
  void open_file() noexcept;
  void close_file() noexcept;
  void write(const std::vector<Line>& lines);
  /// @returns how many bytes were written before the write failed or `give_up_` passed
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
  std::uint64_t untold_ = 0;  // lost lines that are not reported yet
  bool is_writing_ = false;
  bool has_failed_ = false;  // whether the last write failed
  bool is_torn_ = false;     // whether the last write stopped in the middle of a line
  bool is_ending_ = false;
  bool has_ended_ = false;
  time_point give_up_ = time_point::max();
  int file_ = -1;  // descriptor; negative: the file has none
  bool owns_file_ = false;
  std::thread thread_;
};

}  // namespace roost::detail
