// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "roost/beast/detail/channel.hpp"
#include "roost/beast/detail/transport.hpp"
#include "roost/beast/options.hpp"
#include "roost/clock.hpp"
#include "roost/detail/outbox.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wait_list.hpp"

namespace roost::detail {

/// The layer below Beast: one outbox through which everything goes that is written to a peer,
/// Beast's own bytes and our ready-made frames, so that they never interleave within a frame.
///
/// Owned by the operations under way: it ends with its `io_context`, whoever keeps a handle.
class Link final : public Channel {
 public:
  /// Who is told what happens on the wire.
  class Listener {
   public:
    /// Beast itself sends a close frame, because the peer broke a rule; an answer to the peer's
    /// close frame comes by this way too.
    virtual void on_close_frame_written(std::uint16_t code) = 0;
    virtual void on_link_down() = 0;

   protected:
    ~Listener() = default;
  };

  Link(boost::asio::any_io_executor executor, std::unique_ptr<Transport> transport,
       const StreamOptions& options)
      : Channel(std::move(executor), options), transport_(std::move(transport)) {
    outbox().join_frames();
  }

  void set_listener(Listener* listener) noexcept { listener_ = listener; }
  [[nodiscard]] bool has_listener() const noexcept { return listener_ != nullptr; }
  /// Whether the peer has sent anything yet.
  [[nodiscard]] bool has_received() const noexcept { return has_received_; }

  /// Makes the transport ready for the first byte.
  boost::asio::awaitable<void> open(error_code& error);
  [[nodiscard]] bool needs_open() const noexcept { return transport_->needs_open(); }

  // --- writing ---

  /// What Beast writes. It completes only while the outbox is not too full: otherwise a peer that
  /// makes Beast answer without reading would grow it without end.
  template <class ConstBuffers, class Handler>
  void write(const ConstBuffers& buffers, Handler handler) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    if (is_down()) return complete(std::move(handler), boost::asio::error::broken_pipe, 0);
    if (!outbox().is_sealed() && size > 0) {
      Frame bytes = Frame::raw(size);
      boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), size), buffers);
      push_from_beast(bytes);
    }
    finish_write({.size = size,
                  .end = outbox().consumed() + outbox().bytes(),
                  .deadline = clock().now() + options().send_timeout},
                 std::move(handler));
  }

  // --- reading ---

  template <class MutableBuffers, class Handler>
  void read(const MutableBuffers& buffers, Handler handler) {
    if (!leftover_.empty()) {
      const std::size_t n = boost::asio::buffer_copy(buffers, boost::asio::buffer(leftover_));
      leftover_.erase(0, n);
      if (leftover_.empty()) std::string().swap(leftover_);
      return complete(std::move(handler), {}, n);
    }
    if (is_down()) return complete(std::move(handler), boost::asio::error::eof, 0);
    transport_->async_read(boost::asio::buffer_size(buffers) + max_leftover,
                           [self = self(), buffers, handler = std::move(handler)](
                               error_code error, boost::asio::const_buffer data) mutable {
                             const std::size_t n = boost::asio::buffer_copy(buffers, data);
                             data += n;
                             self->leftover_.assign(static_cast<const char*>(data.data()),
                                                    data.size());
                             if (!error) self->note_activity();
                             self->has_received_ = true;
                             std::move(handler)(error, n);
                           });
  }

  /// Bytes that were read already, before roost had the socket.
  void put_back(boost::asio::const_buffer bytes) {
    leftover_.insert(0, static_cast<const char*>(bytes.data()), bytes.size());
  }

  // --- the end ---

  /// Flushes, shuts down our side, discards what comes until the peer closes its side, closes.
  /// Closing at once would throw away the last bytes: unread data makes the kernel send a reset.
  template <class Handler>
  void async_linger(Handler handler) {
    boost::asio::co_spawn(get_executor(), linger(self()),
                          [executor = get_executor(), running = Running(get_executor()),
                           handler = std::move(handler)](std::exception_ptr) mutable {
                            boost::asio::post(executor, [handler = std::move(handler)]() mutable {
                              std::move(handler)(error_code());
                            });
                          });
  }
  static boost::asio::awaitable<void> linger(std::shared_ptr<Link> self);

 private:
  static constexpr std::size_t max_leftover = 16'384;
  // From here on Beast's own writes wait until they are on the wire: a peer that makes it answer
  // without reading would make the outbox grow without end. Pongs are small, so this is as well.
  static constexpr std::size_t beast_high_water = 8'192;

  struct Write {
    std::size_t size;
    std::uint64_t end;  // where in all that was ever queued it ends
    Clock::time_point deadline;
  };

  void push_from_beast(const Frame& bytes);

  template <class Handler>
  void finish_write(Write write, Handler handler) {
    if (is_down()) return complete(std::move(handler), boost::asio::error::broken_pipe, 0);
    if (outbox().bytes() < beast_high_water || outbox().consumed() >= write.end) {
      return complete(std::move(handler), {}, write.size);
    }
    if (clock().now() >= write.deadline) {
      abort();  // in all that time the peer did not take what it asked for
      return complete(std::move(handler), boost::asio::error::timed_out, 0);
    }
    when_notified(changed_, get_executor(), clock(), write.deadline,
                  [self = self(), write, handler = std::move(handler)](bool) mutable {
                    self->finish_write(write, std::move(handler));
                  });
  }

  template <class Handler>
  void complete(Handler handler, error_code error, std::size_t n) {
    boost::asio::post(get_executor(), [handler = std::move(handler), error, n]() mutable {
      std::move(handler)(error, n);
    });
  }

  void flush() override;
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
  std::string leftover_;  // read, and not wanted by Beast yet
  Listener* listener_ = nullptr;
  bool is_lingering_ = false;
  bool has_received_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/impl/link.ipp"
#endif
