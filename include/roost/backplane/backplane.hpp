// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/error.hpp"
#include "roost/base/hook.hpp"

namespace roost {

/// What is known about a message that was published.
struct Published {
  /// How many started backplanes took it, the publisher's own included; how many connections that
  /// reaches, nobody knows. Not set: unknown.
  std::optional<std::size_t> receivers = {};
  /// Set if somebody may miss it, and why: the other replicas (`backplane_unavailable`,
  /// `outcome_unknown`, and `backplane_full` if too much waits for Redis), or a handler of this
  /// process (`backplane_full`, see `missed`). The members of the publisher's own manager have a
  /// message of a `Cluster` nevertheless.
  boost::system::error_code error = {};
  /// How many handlers of the publisher's own backplane it was given to, whatever became of it
  /// elsewhere. Each bound manager is one of them; that of a `Cluster` that publishes counts
  /// always, other handlers while their backplane has started.
  std::size_t local = 0;
  /// How many handlers of this process were to get it and did not: they do not keep up, and too
  /// much waits for them already. Those of all `LocalBackplane`s on the channel are counted.
  std::size_t missed = 0;

  /// Whether nothing went wrong.
  [[nodiscard]] explicit operator bool() const noexcept { return !error; }
};

/// Gets every message of a backplane: a callable that answers at once, or a coroutine. The message
/// lives until it is done.
using BackplaneHandler = Hook<void(const nlohmann::json& message)>;

/// A handler's place at a backplane. Letting go of it changes nothing: the handler stays for the
/// life of the backplane unless it is cancelled.
///
/// @par Thread safety  From any thread.
/// @par Lifetime       May outlive the backplane.
class Subscription {
 public:
  /// What a backplane keeps for a handler.
  class Target {
   public:
    /// Calls the handler no more.
    virtual void cancel() noexcept = 0;
    /// Whether the handler is still called.
    [[nodiscard]] virtual bool is_active() const noexcept = 0;

   protected:
    ~Target() = default;
  };

  /// Of nothing: it is not active.
  Subscription() noexcept = default;
  /// For those who write a backplane.
  explicit Subscription(std::weak_ptr<Target> target) noexcept : target_(std::move(target)) {}

  /// The handler is not called any more. A call that is under way is not disturbed: one on another
  /// thread may outlast this function.
  void cancel() noexcept {
    if (const auto target = std::exchange(target_, {}).lock()) target->cancel();
  }
  /// False once cancelled, or once the backplane is gone.
  [[nodiscard]] bool is_active() const noexcept {
    const auto target = target_.lock();
    return target && target->is_active();
  }

 private:
  std::weak_ptr<Target> target_;
};

/// Carries messages between replicas: processes, or threads of one process.
///
/// - `publish` brings a JSON object to every handler of every started backplane on the channel, the
///   publisher's own included, once; the messages of one publisher in their order. It works without
///   `start`. What no replica could read (no object, no UTF-8, nested over 64 levels) or what is
///   over the limit on size is thrown at the call: `errc::invalid_json`, `message_too_big`. Trouble
///   with the network is `Published::error`, and then its own handlers get the message
///   nevertheless.
/// - `on` adds a handler. Each gets one message after the other, and nobody waits for it: what
///   queues up for one that does not keep up is bounded, and dropped beyond, see
///   `Published::missed`. However much comes in one turn of the event loop, nothing is dropped
///   before the handler had a turn itself. One that throws is logged.
/// - `start` subscribes, `stop` ends that and may be followed by `start`. Both may be repeated.
/// - The awaitables may be awaited from any executor, hold what they need, and may outlive the
///   backplane. Handlers are called on the backplane's executor.
template <class B>
concept Backplane = requires(B& b, const nlohmann::json& message, BackplaneHandler handler) {
  { b.get_executor() } -> std::convertible_to<boost::asio::any_io_executor>;
  { b.start() } -> std::same_as<boost::asio::awaitable<void>>;
  { b.stop() } -> std::same_as<boost::asio::awaitable<void>>;
  { b.publish(message) } -> std::same_as<boost::asio::awaitable<Published>>;
  { b.on(std::move(handler)) } -> std::same_as<Subscription>;
};

namespace detail {

/// The side of a backplane that brings messages only to where they are wanted: it has to be told in
/// which rooms there is somebody. From any thread.
class RoomRouting {
 public:
  virtual ~RoomRouting() = default;
  /// Once for each manager.
  virtual void enter(std::string_view room) = 0;
  virtual void leave(std::string_view room) noexcept = 0;
  /// Completes when messages to the rooms entered so far arrive; at once while nothing arrives.
  virtual boost::asio::awaitable<void> settled() = 0;
};

/// A backplane of any kind: the calls of the concept, and those that roost's own have besides.
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

  /// See `BackplaneRef`.
  virtual awaitable<void> start_anyway() const = 0;
  virtual awaitable<Published> publish_wire(OutgoingMessage message) const = 0;
  /// @param member  whose messages it does not get, as `OutgoingMessage::origin` names it
  virtual Subscription on_parcel(ParcelHandler handler, const void* member) const = 0;
  /// Whether it keeps messages from their `origin`.
  [[nodiscard]] virtual bool skips_origin() const = 0;
  /// Of one message, in bytes of JSON. Not set: unknown.
  [[nodiscard]] virtual std::optional<std::size_t> max_message_bytes() const = 0;
  /// Null where every message goes to every replica.
  [[nodiscard]] virtual std::shared_ptr<RoomRouting> room_routing() const = 0;
  /// Tells the backplane from others, while it is there.
  [[nodiscard]] virtual const void* id() const noexcept = 0;
};

/// A backplane of one's own has the calls of the concept only; what is missing is made of these.
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
    if constexpr (requires(B& backplane) { backplane.options().max_message_bytes; }) {
      return backplane_->options().max_message_bytes;
    } else {
      return std::nullopt;
    }
  }
  [[nodiscard]] std::shared_ptr<RoomRouting> room_routing() const override {
    if constexpr (requires(B& backplane) { backplane.room_routing(); }) {
      return backplane_->room_routing();
    } else {
      return nullptr;
    }
  }
  [[nodiscard]] const void* id() const noexcept override { return backplane_.get(); }

 private:
  const std::shared_ptr<B> backplane_;
};

}  // namespace detail

/// Any backplane, so that the rest of roost names none. Cheap to copy; empty by default, and then
/// every call is `errc::backplane_unavailable`.
///
/// @par Lifetime  Made from a reference it owns nothing, and must not be called after the backplane
///                is gone; made from a `shared_ptr` it shares the backplane.
class BackplaneRef {
 public:
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Of no backplane.
  BackplaneRef() noexcept = default;

  /// Refers to @p backplane, which must be there whenever this is called.
  template <class B>
    requires(!std::same_as<std::remove_const_t<B>, BackplaneRef> && Backplane<B>)
  BackplaneRef(B& backplane)  // NOLINT: implicit on purpose
      : BackplaneRef(std::shared_ptr<B>(std::shared_ptr<void>(), std::addressof(backplane))) {}

  /// Shares @p backplane; refers to none if it is null.
  template <Backplane B>
  BackplaneRef(std::shared_ptr<B> backplane)  // NOLINT: implicit on purpose
      : backplane_(backplane ? std::make_shared<const detail::BackplaneOf<B>>(std::move(backplane))
                             : nullptr) {}

  /// Whether there is a backplane.
  [[nodiscard]] explicit operator bool() const noexcept { return backplane_ != nullptr; }
  /// Whether both are the same backplane.
  [[nodiscard]] bool operator==(const BackplaneRef& other) const noexcept {
    return backplane_ && other.backplane_ ? backplane_->id() == other.backplane_->id()
                                          : backplane_ == other.backplane_;
  }

  /// Where the handlers are called.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const { return any().get_executor(); }
  /// See `Backplane`, as for the next ones.
  awaitable<void> start() const { return any().start(); }
  /// The same where it is better to go on without the other replicas than not at all: what can be
  /// tried again later is no error.
  awaitable<void> start_anyway() const { return any().start_anyway(); }
  /// See `Backplane`.
  awaitable<void> stop() const { return any().stop(); }
  /// See `Backplane`.
  awaitable<Published> publish(const nlohmann::json& message) const {
    return any().publish(message);
  }
  /// See `Backplane`.
  Subscription on(BackplaneHandler handler) const { return any().on(std::move(handler)); }

  /// @private For `Cluster`, which needs no JSON values.
  /// @par Errors  `errc::backplane_unavailable` if it is empty
  [[nodiscard]] const detail::AnyBackplane& any() const {
    if (!backplane_) throw Error(errc::backplane_unavailable, "the BackplaneRef is empty");
    return *backplane_;
  }

 private:
  std::shared_ptr<const detail::AnyBackplane> backplane_;
};

}  // namespace roost
