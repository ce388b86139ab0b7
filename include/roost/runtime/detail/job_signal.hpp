// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/cancellation_type.hpp>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace roost::detail {

/// Cancels a coroutine that `co_spawn` starts, as `cancellation_signal` does. It keeps the handler
/// of the signal, which is small, inside; for each handler Asio allocates a block of memory.
class JobSignal {
 public:
  /// Meets Asio's requirements of a `CancellationSlot`.
  class Slot {
   public:
    explicit Slot(JobSignal& signal) noexcept : signal_(&signal) {}

    [[nodiscard]] bool is_connected() const noexcept { return true; }
    [[nodiscard]] bool has_handler() const noexcept { return signal_->handler_ != nullptr; }
    void clear() noexcept { signal_->clear(); }
    template <class Handler, class... Arguments>
    Handler& emplace(Arguments&&... arguments) {
      return signal_->emplace<Handler>(std::forward<Arguments>(arguments)...);
    }
    template <class Handler>
    std::decay_t<Handler>& assign(Handler&& handler) {
      return emplace<std::decay_t<Handler>>(std::forward<Handler>(handler));
    }
    bool operator==(const Slot&) const noexcept = default;

   private:
    JobSignal* signal_;
  };

  JobSignal() = default;
  JobSignal(const JobSignal&) = delete;
  JobSignal& operator=(const JobSignal&) = delete;
  ~JobSignal() { clear(); }

  [[nodiscard]] Slot slot() noexcept { return Slot(*this); }
  void emit(boost::asio::cancellation_type type) {
    if (handler_) handler_->call(type);
  }

 private:
  struct AnyHandler {
    virtual ~AnyHandler() = default;
    virtual void call(boost::asio::cancellation_type type) = 0;
  };
  template <class Handler>
  struct HandlerOf final : AnyHandler {
    template <class... Arguments>
    explicit HandlerOf(Arguments&&... arguments) : handler(std::forward<Arguments>(arguments)...) {}
    void call(boost::asio::cancellation_type type) override { handler(type); }
    Handler handler;
  };

  template <class Handler, class... Arguments>
  Handler& emplace(Arguments&&... arguments) {
    using Stored = HandlerOf<Handler>;
    static_assert(sizeof(Stored) <= sizeof(Storage) && alignof(Stored) <= alignof(Storage));
    clear();
    auto* const stored = ::new (&storage_) Stored(std::forward<Arguments>(arguments)...);
    handler_ = stored;
    return stored->handler;
  }
  void clear() noexcept {
    if (AnyHandler* const handler = std::exchange(handler_, nullptr)) std::destroy_at(handler);
  }

  // For the virtual table, and the `cancellation_signal` in the handler of `co_spawn`.
  struct alignas(void*) Storage : std::array<std::byte, 2 * sizeof(void*)> {};

  AnyHandler* handler_ = nullptr;
  Storage storage_;
};

}  // namespace roost::detail
