// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#if defined(__linux__)
#include <sys/epoll.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#endif

#include "roost/base/build/config.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

/// Tells many sockets of one executor when they have something to read.
///
/// Asio re-arms its epoll set for every single wait, a system call each. Here a socket is added
/// once to a set of our own, and stays while it is read again and again; Asio waits for the set.
///
/// A child process shares the set: until it calls `exec` or `_exit`, it must leave its copies of
/// the sockets alone.
class ReadPoller final : public std::enable_shared_from_this<ReadPoller>, private ContextGuard {
 public:
  /// A socket that may wait.
  class Source {
   public:
    /// It is readable, or has failed. Called once for each `wait`.
    virtual void on_readable() = 0;
    /// The context is being destroyed: lets go of whoever waits, who may own the source.
    virtual void on_context_gone() noexcept = 0;

   protected:
    ~Source() = default;

   private:
    friend class ReadPoller;
    int socket_ = -1;  // in the set, if not negative
    std::size_t position_ = 0;
    bool is_waiting_ = false;
  };

  /// The one that all sockets of @p executor share. Null where there is no epoll, or no file
  /// descriptor left for it: then Asio has to do. From any thread.
  static std::shared_ptr<ReadPoller> of(const boost::asio::any_io_executor& executor) noexcept;

#if defined(__linux__)
  explicit ReadPoller(const boost::asio::any_io_executor& executor);

  [[nodiscard]] boost::asio::any_io_executor get_executor() noexcept { return set_.get_executor(); }

  /// Has @p source told once. @returns false if @p socket cannot be watched.
  bool wait(Source& source, int socket);
  /// Before its socket is closed.
  void forget(Source& source) noexcept;

 private:
  // The loop has other work.
  static constexpr std::size_t max_events = 256;
  static constexpr std::chrono::milliseconds longest_turn{1};

  void start();
  void turn();
  void tell_some();
  void remove(Source& source) noexcept;
  void on_context_destroyed() noexcept override;

  boost::asio::posix::stream_descriptor set_;
  std::vector<Source*> sources_;  // in the set
  std::size_t waiting_ = 0;       // of them
  bool is_started_ = false;       // Asio waits for the set
  std::array<epoll_event, max_events> events_;
  std::span<epoll_event> left_;  // still to be told
#endif
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/read_poller.ipp"
#endif
