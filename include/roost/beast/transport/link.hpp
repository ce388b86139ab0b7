// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/channel.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/socket/detail/outbox.hpp"

namespace roost::detail {

/// The bytes of one peer over a transport: one outbox through which everything goes that is written
/// to it, HTTP and frames, and what is read.
///
/// Owned by the operations under way: it ends with its `io_context`, whoever keeps a handle.
class Link final : public Channel {
 public:
  /// The conversation over it, which is told when it goes down.
  class Owner {
   public:
    virtual void on_link_down() = 0;

   protected:
    ~Owner() = default;
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

  void set_owner(Owner* owner) noexcept { owner_ = owner; }
  [[nodiscard]] bool has_owner() const noexcept { return owner_ != nullptr; }
  /// Whether the peer has sent anything yet.
  [[nodiscard]] bool has_received() const noexcept { return has_received_; }

  /// Makes the transport ready for the first byte.
  boost::asio::awaitable<void> open(error_code& error);
  [[nodiscard]] bool needs_open() const noexcept { return transport_->needs_open(); }

  // --- writing ---

  /// Whether so much is queued that a peer that asks for more must wait: one that makes us answer
  /// without reading would make the outbox grow without end.
  [[nodiscard]] bool is_congested() noexcept { return outbox().bytes() >= answers_high_water; }
  /// Calls @p f once that is over, or all is written that is queued now. It is not called if the
  /// link goes down first, which happens when the peer takes nothing for `send_timeout`.
  void when_relieved(std::function<void()> f);

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

  /// Bytes that were read already, before roost had the socket, or by Beast and not used: they come
  /// before those that `receive` gives.
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

  void wait_for_relief(Relief relief, std::function<void()> f);

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
    if (owner_) owner_->on_link_down();
  }

  /// Reads something and forgets it.
  boost::asio::awaitable<void> discard(error_code& error);
  boost::asio::awaitable<void> shutdown(error_code& error);

  std::shared_ptr<Link> self() { return std::static_pointer_cast<Link>(shared_from_this()); }

  const std::unique_ptr<Transport> transport_;
  std::string leftover_;
  Owner* owner_ = nullptr;
  bool is_lingering_ = false;
  bool has_received_ = false;
};

/// A link over a stream of an application.
template <class Stream>
std::shared_ptr<Link> make_link(const boost::asio::any_io_executor& executor, Stream&& stream,
                                const StreamOptions& options) {
  return std::make_shared<Link>(
      executor, TransportOf<Stream>::make(executor, std::forward<Stream>(stream), options),
      options);
}

/// For a `std::unique_ptr` that aborts what comes to nothing.
struct AbortLink {
  void operator()(Link* link) const noexcept { link->abort(); }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/link.ipp"
#endif
