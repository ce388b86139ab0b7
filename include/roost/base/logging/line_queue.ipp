// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <cerrno>

#include "roost/base/logging/line_queue.hpp"

namespace roost::detail {

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
