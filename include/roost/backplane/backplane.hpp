// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <type_traits>

#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/base/error.hpp"
#include "roost/base/hook.hpp"
#include "roost/manager/history/records.hpp"

namespace roost {

/// What a backplane can tell about a message that it published.
struct Published {
  /// How many started backplanes took the message, the publisher's own included. A backplane does
  /// not know how many connections they reach. Not set: unknown.
  std::optional<std::size_t> receivers = {};
  /// Set if the message may not reach everybody. `backplane_unavailable` and `outcome_unknown`:
  /// other replicas may miss the message. `backplane_full`: too much waits for Redis, or a handler
  /// of this process does not keep up (see `missed`). A message of a `Cluster` reaches the members
  /// of the publisher's own manager nevertheless, except a recorded message: with
  /// `backplane_unavailable` that was not recorded and nobody gets it, with `outcome_unknown` it
  /// was recorded once or not at all.
  boost::system::error_code error = {};
  /// How many handlers of the publisher's own backplane the message was given to, also if `error`
  /// is set. Each bound manager is one handler. The manager of the `Cluster` that publishes always
  /// counts; other handlers count while their backplane has started.
  std::size_t local = 0;
  /// How many handlers of this process missed the message because they do not keep up and too many
  /// messages wait for them already. The handlers of all `LocalBackplane`s on the channel count.
  std::size_t missed = 0;
  /// The position of a client that has received this message, if the message was recorded: see
  /// `HistoryRule`.
  std::optional<std::string> at = {};

  /// Whether `error` is not set.
  [[nodiscard]] explicit operator bool() const noexcept { return !error; }
};

/// Gets every message of a backplane: a plain callable, or a coroutine. The message lives until the
/// call, or the coroutine, has ended.
using BackplaneHandler = Hook<void(const nlohmann::json& message)>;

/// Represents a handler that was added to a backplane. Destroying a `Subscription` changes nothing:
/// the handler stays for the life of the backplane unless it is cancelled.
///
/// @par Thread safety  From any thread.
/// @par Lifetime       May outlive the backplane.
class Subscription {
 public:
  /// What a backplane keeps for each handler: the base class for backplanes of your own.
  class Target {
   public:
    /// Makes the backplane stop calling the handler.
    virtual void cancel() noexcept = 0;
    /// Whether the handler is still called.
    [[nodiscard]] virtual bool is_active() const noexcept = 0;

   protected:
    ~Target() = default;
  };

  /// Represents no handler: `is_active` is false.
  Subscription() noexcept = default;
  /// Represents the handler of @p target. For authors of a backplane.
  explicit Subscription(std::weak_ptr<Target> target) noexcept : target_(std::move(target)) {}

  /// Makes the backplane stop calling the handler. A call that has begun is not interrupted: on
  /// another thread it may end after this function has returned.
  void cancel() noexcept {
    if (const auto target = std::exchange(target_, {}).lock()) target->cancel();
  }
  /// Whether the handler is still called: false once it is cancelled, or once the backplane is
  /// gone.
  [[nodiscard]] bool is_active() const noexcept {
    const auto target = target_.lock();
    return target && target->is_active();
  }

 private:
  std::weak_ptr<Target> target_;
};

/// Carries messages between replicas. A replica is a process, or a thread of one process.
///
/// - `publish` delivers a JSON object once to every handler of every started backplane on the
///   channel, the publisher's own included. The messages of one publisher arrive in their order.
///   `publish` works without `start`. A message that no replica could read (not an object, not
///   UTF-8, nested over 64 levels) throws `errc::invalid_json` at the call, and a message over the
///   size limit `message_too_big`. If the network fails, `Published::error` is set, and the
///   publisher's own handlers get the message nevertheless.
/// - `on` adds a handler. A handler gets one message after the other. Nobody waits for a handler:
///   the queue of a handler that does not keep up is bounded, and further messages are dropped
///   (`Published::missed`). Even if many messages arrive in one turn of the event loop, none is
///   dropped before the handler has had a turn itself. If a handler throws, that is logged.
/// - `start` subscribes and `stop` unsubscribes. `start` may follow `stop`, and both may be
///   repeated.
/// - The awaitables may be awaited from any executor, own what they need, and may outlive the
///   backplane. Handlers are called on the backplane's executor.
template <class B>
concept Backplane = requires(B& b, const nlohmann::json& message, BackplaneHandler handler) {
  { b.get_executor() } -> std::convertible_to<boost::asio::any_io_executor>;
  { b.start() } -> std::same_as<boost::asio::awaitable<void>>;
  { b.stop() } -> std::same_as<boost::asio::awaitable<void>>;
  { b.publish(message) } -> std::same_as<boost::asio::awaitable<Published>>;
  { b.on(std::move(handler)) } -> std::same_as<Subscription>;
};

struct HistoryOptions;

namespace detail {

/// Implemented by a backplane that delivers the messages of a room only to the replicas with
/// members in that room: each manager tells it which of its rooms have members. From any thread.
class RoomRouting {
 public:
  virtual ~RoomRouting() = default;
  /// Asks for the messages to @p room. Called once for each manager that has members in the room.
  virtual void enter(std::string_view room) = 0;
  virtual void leave(std::string_view room) noexcept = 0;
  /// Completes when messages to the rooms entered so far arrive; completes immediately while the
  /// backplane is not connected.
  virtual boost::asio::awaitable<void> settled() = 0;
};

/// Implemented by a backplane that records the messages of some rooms. From any thread.
class BackplaneHistory {
 public:
  virtual ~BackplaneHistory() = default;
  /// The rules say which rooms have a history. They never change.
  [[nodiscard]] virtual std::shared_ptr<const HistoryOptions> options() const noexcept = 0;
  /// Notes that a bound manager has members in @p room. Once for each manager.
  virtual void enter(const std::string& room) = 0;
  /// Notes that a bound manager has no members in @p room any more.
  virtual void leave(const std::string& room) noexcept = 0;
  /// Asks for what clients of @p room have missed. The handler of @p member gets the answer as a
  /// `HistoryNews`, in order with the messages.
  virtual void recover(const void* member, const std::string& room,
                       std::vector<RecoveryRequest> requests) = 0;
  /// Deletes the history of @p room: a new epoch begins.
  virtual boost::asio::awaitable<void> forget(std::string room) = 0;
};

class BackplanePresence;
class ControlDesk;

/// Type-erases a backplane: the calls of the concept, and further ones that only roost's own
/// backplanes implement.
class AnyBackplane {
 public:
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  AnyBackplane() = default;
  AnyBackplane(const AnyBackplane&) = delete;
  AnyBackplane& operator=(const AnyBackplane&) = delete;
  virtual ~AnyBackplane() = default;

  [[nodiscard]] virtual boost::asio::any_io_executor get_executor() const = 0;
  virtual awaitable<void> start() const = 0;
  virtual awaitable<void> stop() const = 0;
  virtual awaitable<Published> publish(const nlohmann::json& message) const = 0;
  virtual Subscription on(BackplaneHandler handler) const = 0;

  /// See `BackplaneRef::start_anyway`.
  virtual awaitable<void> start_anyway() const = 0;
  virtual awaitable<Published> publish_wire(OutgoingMessage message) const = 0;
  /// @param member  the manager whose own messages the handler does not get, as in
  ///                `OutgoingMessage::origin`
  virtual Subscription on_parcel(ParcelHandler handler, const void* member) const = 0;
  /// Whether a message is not delivered to the manager that is its `origin`.
  [[nodiscard]] virtual bool skips_origin() const = 0;
  /// The limit on one message, in bytes of JSON. Not set: unknown.
  [[nodiscard]] virtual std::optional<std::size_t> max_message_bytes() const = 0;
  /// Null if every message goes to every replica.
  [[nodiscard]] virtual std::shared_ptr<RoomRouting> room_routing() const = 0;
  /// Null if no room has a history.
  [[nodiscard]] virtual std::shared_ptr<BackplaneHistory> history() const = 0;
  /// Null if no room has presence.
  [[nodiscard]] virtual std::shared_ptr<BackplanePresence> presence() const = 0;
  /// Null if the backplane has no registry of its replicas.
  [[nodiscard]] virtual std::shared_ptr<ControlDesk> control() const = 0;
  /// Identifies the backplane for as long as it exists.
  [[nodiscard]] virtual const void* id() const noexcept = 0;
};

/// Type-erases a backplane of type @p B. If @p B has only the calls of the concept, the others are
/// implemented with these.
template <class B>
class BackplaneOf final : public AnyBackplane {
  static constexpr bool takes_parcels =
      requires(B& backplane, ParcelHandler handler, const void* member) {
        backplane.on_parcel(std::move(handler), member);
      };

 public:
  explicit BackplaneOf(std::shared_ptr<B> backplane) noexcept : backplane_(std::move(backplane)) {}

  [[nodiscard]] boost::asio::any_io_executor get_executor() const override {
    return backplane_->get_executor();
  }
  awaitable<void> start() const override { return backplane_->start(); }
  awaitable<void> stop() const override { return backplane_->stop(); }
  awaitable<Published> publish(const nlohmann::json& message) const override {
    return backplane_->publish(message);
  }
  Subscription on(BackplaneHandler handler) const override {
    return backplane_->on(std::move(handler));
  }
  awaitable<void> start_anyway() const override {
    if constexpr (requires(B& backplane) { backplane.start_anyway(); }) {
      return backplane_->start_anyway();
    } else {
      return backplane_->start();
    }
  }
  awaitable<Published> publish_wire(OutgoingMessage message) const override {
    if constexpr (requires(B& backplane) { backplane.publish_wire(std::move(message)); }) {
      return backplane_->publish_wire(std::move(message));
    } else {
      return backplane_->publish(nlohmann::json::parse(message.text));
    }
  }
  Subscription on_parcel(ParcelHandler handler, const void* member) const override {
    if constexpr (takes_parcels) {
      return backplane_->on_parcel(std::move(handler), member);
    } else {
      return backplane_->on([handler = std::move(handler)](const nlohmann::json& message) {
        handler.call(Parcel::of(message));
      });
    }
  }
  [[nodiscard]] bool skips_origin() const override { return takes_parcels; }
  [[nodiscard]] std::optional<std::size_t> max_message_bytes() const override {
    return if_it_can<std::optional<std::size_t>>(
        [](auto& b) -> decltype(b.options().max_message_bytes) {
          return b.options().max_message_bytes;
        });
  }
  [[nodiscard]] std::shared_ptr<RoomRouting> room_routing() const override {
    return if_it_can<std::shared_ptr<RoomRouting>>(
        [](auto& b) -> decltype(b.room_routing()) { return b.room_routing(); });
  }
  [[nodiscard]] std::shared_ptr<BackplaneHistory> history() const override {
    return if_it_can<std::shared_ptr<BackplaneHistory>>(
        [](auto& b) -> decltype(b.history()) { return b.history(); });
  }
  [[nodiscard]] std::shared_ptr<BackplanePresence> presence() const override {
    return if_it_can<std::shared_ptr<BackplanePresence>>(
        [](auto& b) -> decltype(b.presence()) { return b.presence(); });
  }
  [[nodiscard]] std::shared_ptr<ControlDesk> control() const override {
    return if_it_can<std::shared_ptr<ControlDesk>>(
        [](auto& b) -> decltype(b.control()) { return b.control(); });
  }
  [[nodiscard]] const void* id() const noexcept override { return backplane_.get(); }

 private:
  /// What @p call returns for the backplane; an empty value if the backplane does not have the
  /// call.
  template <class Result, class Call>
  [[nodiscard]] Result if_it_can(Call call) const {
    if constexpr (std::is_invocable_v<Call, B&>) {
      return call(*backplane_);
    } else {
      return {};
    }
  }

  const std::shared_ptr<B> backplane_;
};

}  // namespace detail

/// Refers to a backplane of any type. Cheap to copy. A default-constructed reference is empty, and
/// its calls throw `errc::backplane_unavailable`.
///
/// @par Lifetime  A reference made from a `B&` does not own the backplane, and must not be used
///                after the backplane is gone. A reference made from a `shared_ptr` shares
///                ownership.
class BackplaneRef {
 public:
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes an empty reference.
  BackplaneRef() noexcept = default;

  /// Refers to @p backplane, which must exist whenever the reference is used.
  template <class B>
    requires(!std::same_as<std::remove_const_t<B>, BackplaneRef> && Backplane<B>)
  BackplaneRef(B& backplane)  // NOLINT: implicit on purpose
      : BackplaneRef(std::shared_ptr<B>(std::shared_ptr<void>(), std::addressof(backplane))) {}

  /// Shares ownership of @p backplane; empty if that is null.
  template <Backplane B>
  BackplaneRef(std::shared_ptr<B> backplane)  // NOLINT: implicit on purpose
      : backplane_(backplane ? std::make_shared<const detail::BackplaneOf<B>>(std::move(backplane))
                             : nullptr) {}

  /// Whether the reference is not empty.
  [[nodiscard]] explicit operator bool() const noexcept { return backplane_ != nullptr; }
  /// Whether both refer to the same backplane, or both are empty.
  [[nodiscard]] bool operator==(const BackplaneRef& other) const noexcept {
    return backplane_ && other.backplane_ ? backplane_->id() == other.backplane_->id()
                                          : backplane_ == other.backplane_;
  }

  /// The executor on which the handlers are called.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const { return any().get_executor(); }
  /// Subscribes, so that the handlers get messages: see `Backplane`.
  awaitable<void> start() const { return any().start(); }
  /// Subscribes even if the other replicas cannot be reached: an error that may go away later is
  /// not thrown, and the backplane tries again by itself.
  awaitable<void> start_anyway() const { return any().start_anyway(); }
  /// Unsubscribes: see `Backplane`.
  awaitable<void> stop() const { return any().stop(); }
  /// Publishes @p message: see `Backplane`.
  awaitable<Published> publish(const nlohmann::json& message) const {
    return any().publish(message);
  }
  /// Adds a handler: see `Backplane`.
  Subscription on(BackplaneHandler handler) const { return any().on(std::move(handler)); }

  /// @private For `Cluster`, which sends serialised messages.
  /// @par Errors  `errc::backplane_unavailable` if the reference is empty.
  [[nodiscard]] const detail::AnyBackplane& any() const {
    if (!backplane_) throw Error(errc::backplane_unavailable, "the BackplaneRef is empty");
    return *backplane_;
  }

 private:
  std::shared_ptr<const detail::AnyBackplane> backplane_;
};

}  // namespace roost
