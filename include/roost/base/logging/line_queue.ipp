// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

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
  } catch (...) {  // no memory, or no thread: as if there was no room
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
    thread_.detach();  // it keeps this
  }
}

// All signals are for the threads of the application. SIGPIPE, SIGTTOU and SIGXFSZ, which a write
// may raise in the thread that writes, would end or stop the process: blocked, the write fails.
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
    } catch (...) {  // no memory: maybe later
      close_file();
      ::poll(nullptr, 0, 10);
    }
  }
}

ROOST_DECL auto LineQueue::next_lines() -> std::vector<Line> {
  constexpr std::size_t max_bytes = 4'096;  // PIPE_BUF: they reach a pipe as a whole
  std::vector<Line> next;
  std::unique_lock lock(mutex_);
  is_writing_ = false;
  changed_.notify_all();
  // What was lost since the last line is told by itself, unless nothing can be written anyway.
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

// Whoever has waited for the end long enough may close the file, while this is still in `poll` or
// `write`: then its number may be that of another file. It may also be reopened by `freopen`, as
// those do that rotate logs. So each write has a descriptor of its own.
ROOST_DECL void LineQueue::open_file() noexcept {
  const int file = ::fileno(options_->file);
  const int own = file < 0 ? -1 : ::fcntl(file, F_DUPFD_CLOEXEC, 3);
  owns_file_ = own >= 0;
  file_ = owns_file_ ? own : file;  // it must also work where there are no descriptors left
}
ROOST_DECL void LineQueue::close_file() noexcept {
  if (std::exchange(owns_file_, false)) ::close(file_);
}

ROOST_DECL void LineQueue::write(const std::vector<Line>& lines) {
  std::string bytes = is_torn_ ? "\n" : "";
  const std::uint64_t told = lines.front().lost;  // only the first has lost some before it
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
  if (file_ < 0) {  // no file of the system's: memory, say
    const std::size_t written = std::fwrite(bytes.data(), 1, bytes.size(), options_->file);
    return std::fflush(options_->file) == 0 ? written : 0;
  }
  std::size_t written = 0;
  while (written < bytes.size() && wait_until_writable()) {
    const ssize_t n = ::write(file_, bytes.data() + written, bytes.size() - written);
    if (n >= 0) {
      written += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {  // another process has made it so, and was faster
      ::poll(nullptr, 0, 10);
    } else if (errno != EINTR) {
      break;
    }
  }
  return written;
}

// Then a write does not wait, as a rule; where it does all the same, it is this thread that waits.
ROOST_DECL bool LineQueue::wait_until_writable() noexcept {
  constexpr int look_again_ms = 50;
  while (!is_given_up()) {
    pollfd wanted{.fd = file_, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&wanted, 1, look_again_ms);
    // That it has failed is for the write to say.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return !is_given_up();
  }
  return false;
}

ROOST_DECL bool LineQueue::is_given_up() noexcept {
  const std::lock_guard lock(mutex_);
  return is_ending_ && std::chrono::steady_clock::now() >= give_up_;
}

}  // namespace roost::detail
