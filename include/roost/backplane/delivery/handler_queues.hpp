// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <initializer_list>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost::detail {

/// How much may wait for one handler.
struct QueueLimits {
  std::size_t messages;
  std::size_t bytes;
};

/// The messages that wait for one handler: in order, bounded by count and bytes.
class HandlerQueue {
 public:
  explicit HandlerQueue(QueueLimits limits) noexcept : limits_(limits) {}

  /// Whether the queue with @p parcel is within the limits multiplied by @p times.
  [[nodiscard]] bool has_room_for(const Parcel& parcel, std::size_t times = 1) const noexcept {
    return parcels_.size() / times < limits_.messages &&
           (bytes_ + parcel.bytes()) / times <= limits_.bytes;
  }
  [[nodiscard]] bool is_full() const noexcept {
    return parcels_.size() >= limits_.messages || bytes_ >= limits_.bytes;
  }
  [[nodiscard]] bool is_half_full() const noexcept {
    return parcels_.size() >= limits_.messages - limits_.messages / 2 ||
           bytes_ >= limits_.bytes - limits_.bytes / 2;
  }
  [[nodiscard]] std::size_t size() const noexcept { return parcels_.size(); }
  ROOST_WHEN_USED void push(const ParcelPtr& parcel) {
    parcels_.push_back(parcel);
    bytes_ += parcel->bytes();
  }
  [[nodiscard]] bool empty() const noexcept { return parcels_.empty(); }
  /// @pre `!empty()`
  ROOST_WHEN_USED ParcelPtr pop() {
    ParcelPtr parcel = std::move(parcels_.front());
    parcels_.pop_front();
    bytes_ -= parcel->bytes();
    return parcel;
  }
  /// Drops all but recorded messages and news.
  void keep_recorded() noexcept {
    std::erase_if(parcels_, [&](const ParcelPtr& parcel) {
      const bool is_plain = !parcel->news() && parcel->position().empty();
      if (is_plain) bytes_ -= parcel->bytes();
      return is_plain;
    });
  }
  void clear() noexcept {
    parcels_.clear();
    bytes_ = 0;
  }

 private:
  const QueueLimits limits_;
  std::deque<ParcelPtr> parcels_;
  std::size_t bytes_ = 0;
};

/// Tells where a message comes from.
struct PublishedBy {
  const void* origin = nullptr;  ///< The member that does not get it; null: all members do.
  boost::asio::any_io_executor executor = {};  ///< The publisher's; empty: another.
};

/// How many handlers took a message, and how many missed it because they do not keep up.
struct Delivered {
  std::size_t taken = 0;
  std::size_t missed = 0;
};

/// The handlers of one backplane. Messages come in from any thread without waiting; each handler
/// gets them one after the other on the backplane's executor.
///
/// The queue of each handler is bounded. The bound is meant for handlers that do not keep up, not
/// for bursts: nothing is dropped before a handler with a full queue has had some turns of the
/// event loop. Meanwhile messages from other executors are bounded by a multiple of the limits,
/// since those executors may go on while this one gets no turn.
///
/// The mutex is there because publishers are on other threads. While it is held, no handler is
/// called, and nothing that belongs to a handler is destroyed.
class HandlerQueues : public std::enable_shared_from_this<HandlerQueues> {
 public:
  HandlerQueues(boost::asio::any_io_executor executor, QueueLimits limits, Logger logger);

  ROOST_WHEN_USED Subscription on(BackplaneHandler handler);
  /// @param member  the manager that this handler serves, to be compared with `PublishedBy::origin`
  ROOST_WHEN_USED Subscription on(ParcelHandler handler, const void* member = nullptr);

  /// Whether there is a handler that gets messages of @p origin.
  ROOST_WHEN_USED [[nodiscard]] bool is_wanted(const void* origin) const;

  /// Queues a message for each handler. From any thread; handlers are called later.
  ROOST_WHEN_USED Delivered deliver(const ParcelPtr& parcel, const PublishedBy& by = {});

  /// Queues a message for the handlers of members only.
  ROOST_WHEN_USED Delivered deliver_to_members(const ParcelPtr& parcel, const PublishedBy& by);

  /// Queues news of a history for the handler of a member; news is never dropped.
  /// @param member  null: for the handlers of all members
  ROOST_WHEN_USED void deliver_news(const void* member, HistoryNews news);
  /// Queues news without scheduling handlers, for a caller that calls `flush` or `wake` afterwards.
  ROOST_WHEN_USED void collect_news(const void* member, HistoryNews news);
  /// Schedules the handlers that have something to take.
  ROOST_WHEN_USED void wake();

  /// Queues a message without scheduling handlers, for a caller that has several messages and calls
  /// `flush` after them.
  ROOST_WHEN_USED void collect(const ParcelPtr& parcel);
  /// Calls plain handlers immediately, and schedules coroutines. On the executor.
  ROOST_WHEN_USED void flush();
  /// Whether the caller should let handlers run before it brings more messages: a queue is at least
  /// half full, and its handler makes progress.
  ROOST_WHEN_USED [[nodiscard]] bool is_crowded();

  /// Queues a message without scheduling handlers, for handlers that are not those of members.
  ROOST_WHEN_USED void collect_for_handlers(const ParcelPtr& parcel);

  /// Drops all messages that no handler has taken yet, except recorded messages and news for
  /// members: their sender counts on their arrival.
  ROOST_WHEN_USED void discard() noexcept;

  /// Stops all calls of handlers and releases the executor. On the executor, or while nothing runs
  /// it.
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

  /// Removes a handler.
  /// @pre the caller keeps @p subscriber alive
  void remove(Subscriber& subscriber) noexcept;

  // With the mutex held.
  enum class For : unsigned char { all, members, handlers };
  ROOST_WHEN_USED Delivered add(const ParcelPtr& parcel, const PublishedBy& by,
                                For whom = For::all);
  ROOST_WHEN_USED void schedule_all();
  ROOST_WHEN_USED [[nodiscard]] bool takes(const Subscriber& subscriber, const ParcelPtr& parcel,
                                           const PublishedBy& by) const;

  ROOST_WHEN_USED void add_news(const void* member, const ParcelPtr& parcel);

  // With the mutex held. The queue is full: the handler's next turns show whether it makes
  // progress.
  ROOST_WHEN_USED void judge_later(const SubscriberPtr& subscriber);
  ROOST_WHEN_USED void judge(const SubscriberPtr& subscriber);

  // With the mutex held. Tells a member of a recorded room that it missed messages: before the next
  // message of the room, or once the handler has caught up.
  ROOST_WHEN_USED static void tell_lost(Subscriber& subscriber, std::string_view room);
  ROOST_WHEN_USED static void tell_all_lost(Subscriber& subscriber);

  // With the mutex held. Logs the first message that a handler loses, and how many it lost once it
  // has caught up; one line for each message would add to the load.
  ROOST_WHEN_USED void drop(Subscriber& subscriber);

  // With the mutex held.
  ROOST_WHEN_USED void schedule(const SubscriberPtr& subscriber);
  ROOST_WHEN_USED void schedule_next(const SubscriberPtr& subscriber);

  ROOST_WHEN_USED void work_off(const SubscriberPtr& subscriber);

  /// The next message for @p subscriber. Null if there is none; then the handler is not scheduled.
  ROOST_WHEN_USED ParcelPtr next(Subscriber& subscriber, boost::asio::any_io_executor& executor);

  ROOST_WHEN_USED static boost::asio::awaitable<void> run(SubscriberPtr subscriber,
                                                          ParcelPtr parcel);

  ROOST_WHEN_USED void note_failure(const std::exception_ptr& error);

  // Does nothing once the backplane is gone: what the logger uses may be gone too.
  ROOST_WHEN_USED void warn(std::string_view event, std::initializer_list<LogField> fields) const;

  const QueueLimits limits_;
  const Logger logger_;
  mutable std::mutex mutex_;
  boost::asio::any_io_executor executor_;  // empty: closed
  std::vector<SubscriberPtr> subscribers_;
  std::uint64_t received_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/delivery/handler_queues.ipp"
#endif
