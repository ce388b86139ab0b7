// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost::detail {

struct InboundLimits {
  std::size_t messages;
  std::size_t bytes;
};

/// Where a message comes from.
struct PublishedBy {
  const void* origin = nullptr;                ///< The member that does not get it; null: all do.
  boost::asio::any_io_executor executor = {};  ///< Of the publisher; none: another.
};

/// How many handlers got a message, and how many did not because they do not keep up.
struct Delivered {
  std::size_t taken = 0;
  std::size_t missed = 0;
};

/// The handlers of one backplane. Messages come in from any thread without waiting for anybody;
/// each handler gets them one after the other on the backplane's executor.
///
/// What waits for a handler is bounded, and the bound judges handlers that do not keep up, never a
/// burst: nothing is dropped before the handler had its turns since it had much to do. Only what
/// comes from other executors meanwhile is bounded, at some times as much: their turns go on while
/// those of this one may not.
///
/// The mutex is there because publishers are on other threads. No handler is called, and nothing of
/// a handler's is destroyed, while it is held.
class Inbound : public std::enable_shared_from_this<Inbound> {
 public:
  Inbound(boost::asio::any_io_executor executor, InboundLimits limits, Logger logger);

  ROOST_WHEN_USED Subscription on(BackplaneHandler handler);
  /// @param member  what it is the handler of, to be compared with `PublishedBy::origin`
  ROOST_WHEN_USED Subscription on(ParcelHandler handler, const void* member = nullptr);

  /// Whether there is a handler for messages of @p origin.
  ROOST_WHEN_USED [[nodiscard]] bool is_wanted(const void* origin) const;

  /// From any thread; handlers are called later.
  ROOST_WHEN_USED Delivered deliver(const ParcelPtr& parcel, const PublishedBy& by = {});

  /// The same for who has several, and calls `flush` after them.
  ROOST_WHEN_USED void collect(const ParcelPtr& parcel);
  /// Calls handlers at once, as far as they are no coroutines. On the executor.
  ROOST_WHEN_USED void flush();
  /// Whether who brings messages had better wait for a turn of the loop: handlers have much to do,
  /// and do it.
  ROOST_WHEN_USED [[nodiscard]] bool is_crowded();

  /// Forgets what no handler has got yet.
  ROOST_WHEN_USED void discard() noexcept;

  /// No handler is called any more. On the executor, or while nothing runs it; lets go of it.
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept;

  struct Counts {
    std::uint64_t received = 0;
    std::uint64_t dropped = 0;
    std::uint64_t failed = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Subscriber;
  using SubscriberPtr = std::shared_ptr<Subscriber>;

  /// @pre the caller keeps @p subscriber alive
  void remove(Subscriber& subscriber) noexcept;

  // With the mutex held.
  ROOST_WHEN_USED Delivered add(const ParcelPtr& parcel, const PublishedBy& by);
  ROOST_WHEN_USED [[nodiscard]] bool takes(const Subscriber& subscriber, const ParcelPtr& parcel,
                                           const PublishedBy& by) const;

  // With the mutex held: the handler has too much to do, and its next turns show whether it works.
  ROOST_WHEN_USED void judge_later(const SubscriberPtr& subscriber);
  ROOST_WHEN_USED void judge(const SubscriberPtr& subscriber);

  // With the mutex held. The log says when a handler begins to lose messages, and how many it lost
  // once it has caught up: a line for each would make it worse.
  ROOST_WHEN_USED void drop(Subscriber& subscriber);

  // With the mutex held.
  ROOST_WHEN_USED void schedule(const SubscriberPtr& subscriber);
  ROOST_WHEN_USED void schedule_next(const SubscriberPtr& subscriber);

  ROOST_WHEN_USED void work_off(const SubscriberPtr& subscriber);

  /// Null if there is nothing to do, and then it is not scheduled any more.
  ROOST_WHEN_USED ParcelPtr next(Subscriber& subscriber, boost::asio::any_io_executor& executor);

  ROOST_WHEN_USED static boost::asio::awaitable<void> run(SubscriberPtr subscriber,
                                                          ParcelPtr parcel);

  ROOST_WHEN_USED void note_failure(const std::exception_ptr& error);

  // Once the backplane is gone, what the logger needs may be gone too.
  ROOST_WHEN_USED void warn(std::string_view event, std::initializer_list<LogField> fields) const;

  const InboundLimits limits_;
  const Logger logger_;
  mutable std::mutex mutex_;
  boost::asio::any_io_executor executor_;  // none: closed
  std::vector<SubscriberPtr> subscribers_;
  std::uint64_t received_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/handler_queues.ipp"
#endif
