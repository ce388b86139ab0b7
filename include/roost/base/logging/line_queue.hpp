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

#include "roost/base/build/config.hpp"
#include "roost/base/log_sinks.hpp"

namespace roost::detail {

/// One object for each process. A child made by `fork` has a copy of its parent's object, but none
/// of the threads that belong to it, and maybe a mutex that a lost thread holds for ever: it leaves
/// the copy alone, and makes an object of its own when it needs one.
///
/// @par Thread safety  From any thread.
template <class T>
class PerProcess {
 public:
  PerProcess() = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;
  /// Destroys that of this process. Those of its ancestors cannot be destroyed here.
  ~PerProcess() {
    Node* const node = newest_.load(std::memory_order_acquire);
    if (is_ours(node)) delete node;
  }

  /// That of this process; null while it has none.
  [[nodiscard]] T* find() const noexcept {
    Node* const node = newest_.load(std::memory_order_acquire);
    return is_ours(node) ? &node->value : nullptr;
  }

  /// That of this process, which is made where there is none yet.
  /// @param make  returns a `T`; of several threads that make one, one wins
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
    Node* of_parent;  // kept, so that it is not taken for a leak
  };

  [[nodiscard]] static bool is_ours(const Node* node) noexcept {
    return node && node->process == ::getpid();
  }

  std::atomic<Node*> newest_ = nullptr;
};

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
