// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
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
      : Channel(std::move(executor), options), transport_(std::move(transport)) {}

  void set_listener(Listener* listener) noexcept { listener_ = listener; }

  /// Makes the transport ready for the first byte.
  boost::asio::awaitable<void> open(error_code& error) {
    return operate(error, [self = self()](Transport::Handler handler) {
      self->transport_->async_open(
          [self, handler = std::move(handler)](error_code e) mutable { std::move(handler)(e); });
    });
  }
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
    boost::asio::co_spawn(
        get_executor(), linger(self()),
        [executor = get_executor(), handler = std::move(handler)](std::exception_ptr) mutable {
          boost::asio::post(executor, [handler = std::move(handler)]() mutable {
            std::move(handler)(error_code());
          });
        });
  }
  static boost::asio::awaitable<void> linger(std::shared_ptr<Link> self) {
    self->outbox().seal();
    self->tighten_deadline(self->options().send_timeout);
    while (!self->is_down() && !self->outbox().empty()) {
      co_await wait(self->changed_, self->get_executor(), self->clock());
    }
    if (self->is_down()) co_return;
    self->is_lingering_ = true;
    self->tighten_deadline(self->options().linger_timeout);
    error_code error;
    co_await self->shutdown(error);
    while (!error && !self->is_down()) co_await self->discard(error);
    self->close();
  }

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

  void push_from_beast(const Frame& bytes) {
    push(bytes, Outbox::EntryClass::control);
    // Until the upgrade is done these are HTTP; after it, whole control frames.
    const auto opcode = static_cast<Opcode>(std::to_integer<std::uint8_t>(bytes.data()[0]) & 0x0F);
    if (!listener_ || opcode != Opcode::close) return;
    outbox().seal();
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(bytes.data()[i]); };
    listener_->on_close_frame_written(bytes.size() < 4
                                          ? close_code::no_status
                                          : static_cast<std::uint16_t>(byte(2) << 8 | byte(3)));
  }

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

  void flush() override {
    const auto keep = self();
    while (!is_down() && !is_writing_ && !outbox().empty()) {
      std::array<std::span<const std::byte>, max_gathered> parts;
      const std::size_t count = outbox().gather(parts);
      std::size_t size = 0;
      for (std::size_t i = 0; i < count; ++i) {
        gathered()[i] = boost::asio::const_buffer(parts[i].data(), parts[i].size());
        size += parts[i].size();
      }
      const Transport::Buffers buffers(gathered().data(), count);
      error_code error;
      const std::size_t n = transport_->write_some(buffers, error);
      if (error && error != boost::asio::error::would_block) return abort();
      consume(n);
      if (n < size && !is_down()) wait_until_writable();
    }
  }

  void wait_until_writable() {
    outbox().mark_blocked();
    if (is_down() || outbox().empty()) return;
    std::array<std::span<const std::byte>, max_gathered> parts;
    const std::size_t count = outbox().gather(parts);
    for (std::size_t i = 0; i < count; ++i) {
      gathered()[i] = boost::asio::const_buffer(parts[i].data(), parts[i].size());
    }
    is_writing_ = true;
    transport_->async_write({gathered().data(), count},
                            [self = self()](error_code error, std::size_t n) {
                              self->is_writing_ = false;
                              if (self->is_down()) return;
                              if (error) return self->abort();
                              self->consume(n);
                              self->flush();
                            });
  }

  void on_deadline() noexcept override {
    if (is_lingering_) {
      close();
    } else {
      abort();
    }
  }
  void end_transport(bool abortively) noexcept override {
    if (abortively) {
      transport_->abort();
    } else {
      transport_->close();
    }
  }
  void on_down() noexcept override {
    if (listener_) listener_->on_link_down();
  }

  // No coroutines: g++ 12 destroys a lambda that owns something twice if it is made inside a
  // `co_await` expression.

  /// Reads something and forgets it.
  boost::asio::awaitable<void> discard(error_code& error) {
    leftover_.clear();
    return operate(error, [self = self()](Transport::Handler handler) {
      self->transport_->async_read(
          65'536, [self, handler = std::move(handler)](
                      error_code e, boost::asio::const_buffer) mutable { std::move(handler)(e); });
    });
  }
  boost::asio::awaitable<void> shutdown(error_code& error) {
    return operate(error, [self = self()](Transport::Handler handler) {
      self->transport_->async_shutdown(std::move(handler));
    });
  }
  template <class Start>
  static boost::asio::awaitable<void> operate(error_code& error, Start start) {
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<>(), error);
    return boost::asio::async_initiate<decltype(token), void(error_code)>(std::move(start), token);
  }

  static constexpr std::size_t max_gathered = 64;  // what one sendmsg of Asio takes
  static std::array<boost::asio::const_buffer, max_gathered>& gathered() noexcept {
    static thread_local std::array<boost::asio::const_buffer, max_gathered> buffers;
    return buffers;
  }

  std::shared_ptr<Link> self() { return std::static_pointer_cast<Link>(shared_from_this()); }

  const std::unique_ptr<Transport> transport_;
  std::string leftover_;  // read, and not wanted by Beast yet
  Listener* listener_ = nullptr;
  bool is_lingering_ = false;
};

}  // namespace roost::detail
