// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
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

ROOST_DECL bool LineQueue::push(std::string line) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    line += '\n';
    Line next{std::move(line), untold_};
    if (!is_ending_ && queued_bytes_ + next.cost() <= options_->max_queued_bytes) {
      if (!thread_.joinable()) start();
      lines_.push_back(std::move(next));
      queued_bytes_ += lines_.back().cost();
      untold_ = 0;
      wake_.notify_one();
      return true;
    }
  } catch (...) {  // no memory, or no thread: the line is lost
  }
  ++lost_;
  ++untold_;
  return false;
}

ROOST_DECL std::uint64_t LineQueue::lost() const noexcept {
  const std::lock_guard lock(mutex_);
  return lost_;
}

ROOST_DECL void LineQueue::flush(time_point give_up) noexcept {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, give_up,
                      [this] { return (lines_.empty() && !is_writing_) || has_ended_; });
}

ROOST_DECL void LineQueue::end() noexcept {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) return;
  is_ending_ = true;
  give_up_ = std::chrono::steady_clock::now() + options_->exit_timeout;
  wake_.notify_all();
  changed_.wait_until(lock, give_up_, [this] { return has_ended_; });
  const bool has_ended = has_ended_;
  lock.unlock();
  if (has_ended) {
    thread_.join();
  } else {
    thread_.detach();  // the thread shares ownership of this queue
  }
}

// The thread blocks all signals: they are for the application's threads. SIGPIPE, SIGTTOU and
// SIGXFSZ, which `write` raises in the thread that calls it, would end or stop the process; while
// they are blocked, the write fails instead.
ROOST_DECL void LineQueue::start() {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([self = shared_from_this()] { self->run(); });
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ROOST_DECL void LineQueue::run() {
  for (;;) {
    try {
      const std::vector<Line> lines = next_lines();
      if (lines.empty()) return;
      write(lines);
      close_file();
    } catch (...) {  // no memory: try again later
      close_file();
      ::poll(nullptr, 0, 10);
    }
  }
}

ROOST_DECL auto LineQueue::next_lines() -> std::vector<Line> {
  constexpr std::size_t max_bytes = 4'096;  // PIPE_BUF: a pipe takes this many bytes in one piece
  std::vector<Line> next;
  std::unique_lock lock(mutex_);
  is_writing_ = false;
  changed_.notify_all();
  // Lines lost since the last queued line are reported without waiting for another line, unless the
  // last write failed.
  const auto has_news = [this] { return !lines_.empty() || (untold_ > 0 && !has_failed_); };
  wake_.wait(lock, [&] { return has_news() || is_ending_; });
  if (!has_news() || (is_ending_ && std::chrono::steady_clock::now() >= give_up_)) {
    has_ended_ = true;
    changed_.notify_all();
    return next;
  }
  is_writing_ = true;
  open_file();
  if (lines_.empty()) next.push_back({.text = {}, .lost = std::exchange(untold_, 0)});
  for (std::size_t bytes = 0; !lines_.empty(); lines_.pop_front()) {
    bytes += lines_.front().text.size();
    if (!next.empty() && (bytes > max_bytes || lines_.front().lost > 0)) break;
    const std::size_t cost = lines_.front().cost();
    next.push_back(std::move(lines_.front()));
    queued_bytes_ -= cost;
  }
  return next;
}

// Each write uses a duplicate of the descriptor. The owner of the writer may close the file after
// `exit_timeout` while this thread is still in `poll` or `write`, and the number of the descriptor
// may then be reused for another file. Log rotation may also reopen the file with `freopen`.
ROOST_DECL void LineQueue::open_file() noexcept {
  const int file = ::fileno(options_->file);
  const int own = file < 0 ? -1 : ::fcntl(file, F_DUPFD_CLOEXEC, 3);
  owns_file_ = own >= 0;
  file_ = owns_file_ ? own : file;  // also when no descriptor is left
}
ROOST_DECL void LineQueue::close_file() noexcept {
  if (std::exchange(owns_file_, false)) ::close(file_);
}

ROOST_DECL void LineQueue::write(const std::vector<Line>& lines) {
  std::string bytes = is_torn_ ? "\n" : "";
  const std::uint64_t told = lines.front().lost;  // only the first line can follow lost ones
  if (told > 0 && options_->notice) bytes += options_->notice(told) + '\n';
  const std::size_t before = bytes.size();
  for (const Line& line : lines) bytes += line.text;
  const std::size_t written = write(std::string_view(bytes));

  const std::lock_guard lock(mutex_);
  has_failed_ = written < bytes.size();
  if (written > 0) is_torn_ = bytes[written - 1] != '\n';
  if (written < before) untold_ += told;
  std::size_t end = before;
  for (const Line& line : lines) {
    end += line.text.size();
    if (written >= end || line.text.empty()) continue;
    ++lost_;
    ++untold_;
  }
}

ROOST_DECL std::size_t LineQueue::write(std::string_view bytes) noexcept {
  if (file_ < 0) {  // a `FILE` without a descriptor, such as one in memory
    const std::size_t written = std::fwrite(bytes.data(), 1, bytes.size(), options_->file);
    return std::fflush(options_->file) == 0 ? written : 0;
  }
  std::size_t written = 0;
  while (written < bytes.size() && wait_until_writable()) {
    const ssize_t n = ::write(file_, bytes.data() + written, bytes.size() - written);
    if (n >= 0) {
      written += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {  // another process made it non-blocking, and filled it first
      ::poll(nullptr, 0, 10);
    } else if (errno != EINTR) {
      break;
    }
  }
  return written;
}

// After this a write rarely blocks; if it does, only this thread waits.
ROOST_DECL bool LineQueue::wait_until_writable() noexcept {
  constexpr int look_again_ms = 50;
  while (!is_given_up()) {
    pollfd wanted{.fd = file_, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&wanted, 1, look_again_ms);
    // If the file has failed, the write reports it.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return !is_given_up();
  }
  return false;
}

ROOST_DECL bool LineQueue::is_given_up() noexcept {
  const std::lock_guard lock(mutex_);
  return is_ending_ && std::chrono::steady_clock::now() >= give_up_;
}

}  // namespace roost::detail
