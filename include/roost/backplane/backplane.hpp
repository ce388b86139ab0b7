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
#include <type_traits>
#include <utility>

#include "roost/backplane/wire/backplane_message.hpp"
#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/hook.hpp"

namespace roost {

namespace detail {
class RoomRouting;
}

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
  void cancel() noexcept;
  /// False once cancelled, or once the backplane is gone.
  [[nodiscard]] bool is_active() const noexcept;

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
  BackplaneRef(B& backplane) noexcept  // NOLINT: implicit on purpose
      : backplane_(std::shared_ptr<void>(), std::addressof(backplane)), calls_(&calls_of<B>) {}

  /// Shares @p backplane.
  template <Backplane B>
  BackplaneRef(std::shared_ptr<B> backplane) noexcept  // NOLINT: implicit on purpose
      : backplane_(std::move(backplane)), calls_(&calls_of<B>) {}

  /// Whether there is a backplane.
  [[nodiscard]] explicit operator bool() const noexcept { return backplane_ != nullptr; }
  /// Whether both are the same backplane.
  [[nodiscard]] bool operator==(const BackplaneRef& other) const noexcept {
    return backplane_.get() == other.backplane_.get();
  }

  /// Where the handlers are called.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const;
  /// See `Backplane`, as for the next ones.
  awaitable<void> start() const;
  /// The same where it is better to go on without the other replicas than not at all: what can be
  /// tried again later is no error.
  awaitable<void> start_anyway() const;
  /// See `Backplane`.
  awaitable<void> stop() const;
  /// See `Backplane`.
  awaitable<Published> publish(const nlohmann::json& message) const;
  /// See `Backplane`.
  Subscription on(BackplaneHandler handler) const;

  // --- for `Cluster`, which needs no JSON values; any backplane will do ---

  /// @private Tells the backplane from others, while it is there.
  [[nodiscard]] const void* id() const noexcept { return backplane_.get(); }
  /// @private
  awaitable<Published> publish_wire(detail::OutgoingMessage message) const;
  /// @private
  /// @param member  whose messages it does not get, as `detail::OutgoingMessage::origin` names it
  Subscription on_parcel(detail::ParcelHandler handler, const void* member = nullptr) const;
  /// @private Whether it keeps messages from their `origin`.
  [[nodiscard]] bool skips_origin() const;
  /// @private Of one message, in bytes of JSON. Not set: unknown.
  [[nodiscard]] std::optional<std::size_t> max_message_bytes() const;
  /// @private Null where every message goes to every replica.
  [[nodiscard]] std::shared_ptr<detail::RoomRouting> room_routing() const;

 private:
  struct Calls {
    boost::asio::any_io_executor (*get_executor)(void*);
    awaitable<void> (*start)(void*);
    awaitable<void> (*start_anyway)(void*);
    awaitable<void> (*stop)(void*);
    awaitable<Published> (*publish)(void*, const nlohmann::json&);
    Subscription (*on)(void*, BackplaneHandler);
    awaitable<Published> (*publish_wire)(void*, detail::OutgoingMessage);
    Subscription (*on_parcel)(void*, detail::ParcelHandler, const void*);
    bool skips_origin;
    std::optional<std::size_t> (*max_message_bytes)(void*);
    std::shared_ptr<detail::RoomRouting> (*room_routing)(void*);
  };

  template <class B>
  static B& as(void* backplane) noexcept {
    return *static_cast<B*>(backplane);
  }
  template <class B>
  static awaitable<void> start_anyway_of(B& backplane) {
    if constexpr (requires { backplane.start_anyway(); }) {
      return backplane.start_anyway();
    } else {
      return backplane.start();
    }
  }
  template <class B>
  static awaitable<Published> publish_wire_of(B& backplane, detail::OutgoingMessage message) {
    if constexpr (requires { backplane.publish_wire(std::move(message)); }) {
      return backplane.publish_wire(std::move(message));
    } else {
      return backplane.publish(nlohmann::json::parse(message.text));
    }
  }
  template <class B>
  static constexpr bool skips_origin_of =
      requires(B& backplane, detail::ParcelHandler handler, const void* member) {
        backplane.on_parcel(std::move(handler), member);
      };
  template <class B>
  static std::optional<std::size_t> max_message_bytes_of(const B& backplane) {
    if constexpr (requires { backplane.options().max_message_bytes; }) {
      return backplane.options().max_message_bytes;
    } else {
      return std::nullopt;
    }
  }
  template <class B>
  static Subscription on_parcel_of(B& backplane, detail::ParcelHandler handler,
                                   const void* member) {
    if constexpr (skips_origin_of<B>) {
      return backplane.on_parcel(std::move(handler), member);
    } else {
      return backplane.on([handler = std::move(handler)](const nlohmann::json& message) {
        handler.call(detail::Parcel(message, 0));
      });
    }
  }
  template <class B>
  static std::shared_ptr<detail::RoomRouting> room_routing_of(B& backplane) {
    if constexpr (requires { backplane.room_routing(); }) {
      return backplane.room_routing();
    } else {
      return nullptr;
    }
  }
  template <class B>
  static constexpr Calls calls_of{
      .get_executor = [](void* b) -> boost::asio::any_io_executor {
        return as<B>(b).get_executor();
      },
      .start = [](void* b) { return as<B>(b).start(); },
      .start_anyway = [](void* b) { return start_anyway_of(as<B>(b)); },
      .stop = [](void* b) { return as<B>(b).stop(); },
      .publish = [](void* b, const nlohmann::json& message) { return as<B>(b).publish(message); },
      .on = [](void* b, BackplaneHandler handler) { return as<B>(b).on(std::move(handler)); },
      .publish_wire =
          [](void* b, detail::OutgoingMessage message) {
            return publish_wire_of(as<B>(b), std::move(message));
          },
      .on_parcel =
          [](void* b, detail::ParcelHandler handler, const void* member) {
            return on_parcel_of(as<B>(b), std::move(handler), member);
          },
      .skips_origin = skips_origin_of<B>,
      .max_message_bytes = [](void* b) { return max_message_bytes_of(as<B>(b)); },
      .room_routing = [](void* b) { return room_routing_of(as<B>(b)); }};

  [[nodiscard]] const Calls& calls() const;

  std::shared_ptr<void> backplane_;
  const Calls* calls_ = nullptr;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/backplane.ipp"
#endif
