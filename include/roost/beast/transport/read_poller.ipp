// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

#if defined(__linux__)
#include <unistd.h>
#endif

#include "roost/beast/transport/read_poller.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

#if defined(__linux__)

ROOST_DECL std::shared_ptr<ReadPoller> ReadPoller::of(
    const boost::asio::any_io_executor& executor) noexcept {
  try {
    return PerExecutor<ReadPoller>::of(executor);
  } catch (...) {
    return nullptr;  // reading is slower then, and that is all
  }
}

ROOST_DECL ReadPoller::ReadPoller(const boost::asio::any_io_executor& executor)
    : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)), set_(executor) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) throw boost::system::system_error(errno, boost::system::system_category());
  boost::system::error_code error;
  set_.assign(set, error);
  if (!error) return;
  ::close(set);
  throw boost::system::system_error(error);
}

ROOST_DECL bool ReadPoller::wait(Source& source, int socket) {
  if (source.socket_ < 0) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &source;
    if (::epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, socket, &event) != 0) return false;
    source.socket_ = socket;
    source.position_ = sources_.size();
    sources_.push_back(&source);
  }
  source.is_waiting_ = true;
  ++waiting_;
  start();
  return true;
}

ROOST_DECL void ReadPoller::forget(Source& source) noexcept {
  if (source.socket_ >= 0) remove(source);
  if (!std::exchange(source.is_waiting_, false)) return;
  boost::system::error_code ignored;
  if (--waiting_ == 0) set_.cancel(ignored);  // the context may have nothing else to run for
}

// Not left to the closing of the socket: a child process may have it open as well.
ROOST_DECL void ReadPoller::remove(Source& source) noexcept {
  epoll_event none{};
  ::epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, source.socket_, &none);
  source.socket_ = -1;
  sources_.back()->position_ = source.position_;
  sources_[source.position_] = sources_.back();
  sources_.pop_back();
  for (epoll_event& event : left_) {
    if (event.data.ptr == &source) event.data.ptr = nullptr;
  }
}

ROOST_DECL void ReadPoller::start() {
  if (waiting_ == 0 || std::exchange(is_started_, true)) return;
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                  [self = shared_from_this()](boost::system::error_code error) {
                    if (!error) return self->turn();
                    self->is_started_ = false;
                    if (error == boost::asio::error::operation_aborted) self->start();
                  });
}

ROOST_DECL void ReadPoller::turn() {
  // What a turn has not got to comes first in the next: asked again, epoll names the same ones.
  if (left_.empty()) {
    const int n = ::epoll_wait(set_.native_handle(), events_.data(), max_events, 0);
    left_ = std::span(events_).first(static_cast<std::size_t>(std::max(n, 0)));
  }
  try {
    tell_some();
  } catch (...) {
    is_started_ = false;
    start();  // the others are still to be told
    throw;
  }
  is_started_ = false;
  start();
}

ROOST_DECL void ReadPoller::tell_some() {
  const auto end = std::chrono::steady_clock::now() + longest_turn;
  // One at least, whatever the scheduler does meanwhile.
  for (bool is_first = true; !left_.empty(); is_first = false) {
    if (!is_first && std::chrono::steady_clock::now() >= end) return;
    auto* const source = static_cast<Source*>(left_.front().data.ptr);
    left_ = left_.subspan(1);
    if (!source) continue;
    if (std::exchange(source->is_waiting_, false)) {
      --waiting_;
      source->on_readable();
    } else {
      remove(*source);  // it does not want to read now: it would be named again and again
    }
  }
}

ROOST_DECL void ReadPoller::on_context_destroyed() noexcept {
  const auto self = shared_from_this();
  left_ = {};
  while (!sources_.empty()) {
    Source& source = *sources_.back();
    source.is_waiting_ = false;
    remove(source);
    source.on_context_gone();
  }
  waiting_ = 0;
}

#else

ROOST_DECL std::shared_ptr<ReadPoller> ReadPoller::of(
    const boost::asio::any_io_executor&) noexcept {
  return nullptr;
}

#endif

}  // namespace roost::detail
