// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/channel.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/outbox.hpp"

namespace roost::detail {

/// The bytes of one peer over a transport: one outbox through which everything goes that is written
/// to it, HTTP by Beast and frames of our own, and what is read.
///
/// Owned by the operations under way: it ends with its `io_context`, whoever keeps a handle.
class Link final : public Channel {
 public:
  /// Who is told when it ends.
  class Listener {
   public:
    virtual void on_link_down() = 0;

   protected:
    ~Listener() = default;
  };

  Link(boost::asio::any_io_executor executor, std::unique_ptr<Transport> transport,
       std::shared_ptr<const StreamOptions> options)
      : Channel(std::move(executor), std::move(options)), transport_(std::move(transport)) {
    outbox().coalesce_frames();
  }
  Link(const boost::asio::any_io_executor& executor, std::unique_ptr<Transport> transport,
       const StreamOptions& options)
      : Link(executor, std::move(transport),
             LoopClock::own(executor, options, &StreamOptions::clock)) {}

  void set_listener(Listener* listener) noexcept { listener_ = listener; }
  [[nodiscard]] bool has_listener() const noexcept { return listener_ != nullptr; }
  /// Whether the peer has sent anything yet.
  [[nodiscard]] bool has_received() const noexcept { return has_received_; }

  /// Makes the transport ready for the first byte.
  boost::asio::awaitable<void> open(error_code& error);
  [[nodiscard]] bool needs_open() const noexcept { return transport_->needs_open(); }

  // --- writing ---

  /// What Beast writes: an answer to an upgrade request.
  template <class ConstBuffers, class Handler>
  void write(const ConstBuffers& buffers, Handler handler) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    if (is_down()) return complete(std::move(handler), boost::asio::error::broken_pipe, 0);
    if (size > 0) {
      Frame bytes = Frame::raw(size);
      boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), size), buffers);
      try_send(bytes, Outbox::EntryClass::control);
    }
    complete(std::move(handler), {}, size);
  }

  /// Whether so much is queued that a peer that asks for more must wait: one that makes us answer
  /// without reading would make the outbox grow without end.
  [[nodiscard]] bool is_congested() noexcept { return outbox().bytes() >= answers_high_water; }
  /// Calls @p f once that is over, or all is written that is queued now. It is not called if the
  /// link goes down first, which happens when the peer takes nothing for `send_timeout`.
  template <class F>
  void when_relieved(F f) {
    wait_for_relief({.end = outbox().consumed() + outbox().bytes(),
                     .consumed = outbox().consumed(),
                     .taken = send_progress().taken,
                     .deadline = clock().now() + options().send_timeout},
                    std::move(f));
  }

  bool try_flush() override;

  // --- reading ---

  /// What the peer sends next, at most @p max bytes: `handler(error, std::span<std::byte>)`. The
  /// bytes are valid during the call. The handler must own what owns this.
  template <class Handler>
  void receive(std::size_t max, Handler handler) {
    transport_->async_read(max, [this, handler = std::move(handler)](
                                    error_code error, boost::asio::mutable_buffer data) mutable {
      if (!error) note_activity();
      has_received_ = true;
      std::move(handler)(error, std::span(static_cast<std::byte*>(data.data()), data.size()));
    });
  }

  /// What Beast reads: a request.
  template <class MutableBuffers, class Handler>
  void read(const MutableBuffers& buffers, Handler handler) {
    if (!leftover_.empty()) {
      const std::size_t n = boost::asio::buffer_copy(buffers, boost::asio::buffer(leftover_));
      leftover_.erase(0, n);
      return complete(std::move(handler), {}, n);
    }
    if (is_down()) return complete(std::move(handler), boost::asio::error::eof, 0);
    receive(boost::asio::buffer_size(buffers),
            [self = self(), buffers, handler = std::move(handler)](
                error_code error, std::span<std::byte> data) mutable {
              boost::asio::buffer_copy(buffers, boost::asio::buffer(data.data(), data.size()));
              std::move(handler)(error, data.size());
            });
  }

  /// Bytes that were read already, before roost had the socket, or by Beast and not used.
  void put_back(boost::asio::const_buffer bytes) {
    leftover_.insert(0, static_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::string take_leftover() noexcept {
    return std::exchange(leftover_, std::string());
  }

  // --- the end ---

  /// Flushes, shuts down our side, discards what comes until the peer closes its side, closes.
  /// Closing at once would throw away the last bytes: unread data makes the kernel send a reset.
  static boost::asio::awaitable<void> linger(std::shared_ptr<Link> self);

 private:
  static constexpr std::size_t answers_high_water = 8'192;

  struct Relief {
    std::uint64_t end;  // in all that was ever queued
    std::uint64_t consumed;
    std::uint64_t taken;  // by the peer
    Clock::time_point deadline;
  };

  template <class F>
  void wait_for_relief(Relief relief, F f) {
    if (is_down()) return;
    if (!is_congested() || outbox().consumed() >= relief.end) return f();
    if (outbox().consumed() != relief.consumed) {
      relief.consumed = outbox().consumed();
      relief.deadline = clock().now() + options().send_timeout;
    }
    if (clock().now() >= relief.deadline) {
      // The kernel asks for more only when a third of its buffer is free: the peer may be on its
      // way.
      const std::uint64_t taken = send_progress().taken;
      if (!try_flush() && taken == relief.taken) return abort();  // nothing of what it asked for
      if (is_down()) return;
      relief.taken = taken;
      relief.consumed = outbox().consumed();
      relief.deadline = clock().now() + options().send_timeout;
    }
    when_notified(
        changed_, get_executor(), clock(), relief.deadline,
        [this, relief, f = std::move(f)](bool) mutable { wait_for_relief(relief, std::move(f)); });
  }

  template <class Handler>
  void complete(Handler handler, error_code error, std::size_t n) {
    boost::asio::post(get_executor(), [handler = std::move(handler), error, n]() mutable {
      std::move(handler)(error, n);
    });
  }

  void flush() override;
  /// @returns whether all that was gathered is written.
  bool write_once();
  [[nodiscard]] KernelProgress kernel_progress() const noexcept override {
    return transport_->progress();
  }
  void wait_until_writable();
  void on_deadline() noexcept override;
  void end_transport(bool abortively) noexcept override;
  void on_down() noexcept override {
    if (listener_) listener_->on_link_down();
  }

  /// Reads something and forgets it.
  boost::asio::awaitable<void> discard(error_code& error);
  boost::asio::awaitable<void> shutdown(error_code& error);

  std::shared_ptr<Link> self() { return std::static_pointer_cast<Link>(shared_from_this()); }

  const std::unique_ptr<Transport> transport_;
  std::string leftover_;
  Listener* listener_ = nullptr;
  bool is_lingering_ = false;
  bool has_received_ = false;
};

/// For a `std::unique_ptr` that aborts what comes to nothing.
struct AbortLink {
  void operator()(Link* link) const noexcept { link->abort(); }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/link.ipp"
#endif
