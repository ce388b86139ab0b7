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

#include "roost/beast/detail/flusher.hpp"
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
class Link final : public std::enable_shared_from_this<Link>, private Flushable {
 public:
  /// Who is told what happens on the wire.
  class Listener {
   public:
    /// Beast itself sends a close frame, because the peer broke a rule; an answer to the peer's
    /// close frame comes by this way too.
    virtual void on_close_frame_written(std::uint16_t code) = 0;
    virtual void on_down() = 0;

   protected:
    ~Listener() = default;
  };

  Link(boost::asio::any_io_executor executor, std::unique_ptr<Transport> transport,
       const StreamOptions& options)
      : executor_(std::move(executor)),
        transport_(std::move(transport)),
        flusher_(Flusher::of(executor_)),
        options_(options),
        deadline_(executor_, *options.clock),
        last_activity_(options.clock->now()) {}
  ~Link() { flusher_->forget(*this); }

  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return executor_;
  }
  [[nodiscard]] const StreamOptions& options() const noexcept { return options_; }
  [[nodiscard]] Clock& clock() const noexcept { return *options_.clock; }
  [[nodiscard]] Outbox& outbox() noexcept { return outbox_; }
  [[nodiscard]] bool is_down() const noexcept { return is_down_; }
  [[nodiscard]] Clock::time_point last_activity() const noexcept { return last_activity_; }
  void set_listener(Listener* listener) noexcept { listener_ = listener; }

  // --- writing ---

  /// Queues a frame; false once the outbox is sealed.
  bool try_send(const Frame& frame, Outbox::EntryClass entry_class = Outbox::EntryClass::message) {
    if (outbox_.is_sealed()) return false;
    push(frame, entry_class);
    return true;
  }
  /// Queues the last frame.
  void send_close(const Frame& frame) {
    if (outbox_.is_sealed()) return;
    push(frame, Outbox::EntryClass::control);
    outbox_.seal();
  }

  /// What Beast writes. It completes only while the outbox is not too full: otherwise a peer that
  /// makes Beast answer without reading would grow it without end.
  template <class ConstBuffers, class Handler>
  void write(const ConstBuffers& buffers, Handler handler) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    if (is_down_) return complete(std::move(handler), boost::asio::error::broken_pipe, 0);
    if (!outbox_.is_sealed() && size > 0) {
      Frame bytes = Frame::raw(size);
      boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), size), buffers);
      push_from_beast(bytes);
    }
    if (outbox_.bytes() < beast_high_water) return complete(std::move(handler), {}, size);
    when_notified(changed_, executor_, clock(), clock().now() + options_.send_timeout,
                  [self = shared_from_this(), size, handler = std::move(handler)](bool) mutable {
                    self->finish_write(size, std::move(handler));
                  });
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
    if (is_down_) return complete(std::move(handler), boost::asio::error::eof, 0);
    transport_->async_read(boost::asio::buffer_size(buffers) + max_leftover,
                           [self = shared_from_this(), buffers, handler = std::move(handler)](
                               error_code error, boost::asio::const_buffer data) mutable {
                             const std::size_t n = boost::asio::buffer_copy(buffers, data);
                             data += n;
                             self->leftover_.assign(static_cast<const char*>(data.data()),
                                                    data.size());
                             if (!error) self->last_activity_ = self->clock().now();
                             std::move(handler)(error, n);
                           });
  }

  /// Bytes that were read already, before roost had the socket.
  void put_back(boost::asio::const_buffer bytes) {
    leftover_.insert(0, static_cast<const char*>(bytes.data()), bytes.size());
  }

  // --- the end ---

  /// By then the current phase must be over, else the link is aborted.
  void set_deadline(Clock::duration delay) {
    deadline_.expires_after(delay);
    deadline_.async_wait([weak = weak_from_this()](error_code) {
      const auto self = weak.lock();
      if (self && self->deadline_.is_due()) self->on_deadline();
    });
  }
  void clear_deadline() { deadline_.expires_at(Timer::never()); }

  /// Ends the transport now.
  void abort() noexcept { go_down(/*abortively=*/true); }
  /// Ends it once all is said: at the end of the conversation, nothing is left to flush.
  void close() noexcept { go_down(/*abortively=*/false); }

  /// Flushes, shuts down our side, discards what comes until the peer closes its side, closes.
  /// Closing at once would throw away the last bytes: unread data makes the kernel send a reset.
  template <class Handler>
  void async_linger(Handler handler) {
    boost::asio::co_spawn(
        executor_, linger(shared_from_this()),
        [executor = executor_, handler = std::move(handler)](std::exception_ptr) mutable {
          boost::asio::post(executor, [handler = std::move(handler)]() mutable {
            std::move(handler)(error_code());
          });
        });
  }
  static boost::asio::awaitable<void> linger(std::shared_ptr<Link> self) {
    self->outbox_.seal();
    self->set_deadline(self->options_.send_timeout);
    while (!self->is_down_ && !self->outbox_.empty()) {
      co_await wait(self->changed_, self->executor_, self->clock());
    }
    if (self->is_down_) co_return;
    self->is_lingering_ = true;
    self->set_deadline(self->options_.linger_timeout);
    self->transport_->shutdown_send();
    error_code error;
    while (!error && !self->is_down_) co_await self->discard(error);
    self->close();
  }

 private:
  static constexpr std::size_t beast_high_water = 65'536;
  static constexpr std::size_t max_leftover = 16'384;

  void push(const Frame& frame, Outbox::EntryClass entry_class) {
    const bool was_empty = outbox_.push(frame, flusher_->now(clock()), entry_class);
    flusher_->note_frame(outbox_.bytes());
    if (was_empty && !is_writing_) flusher_->mark_dirty(*this);
  }

  void push_from_beast(const Frame& bytes) {
    push(bytes, Outbox::EntryClass::control);
    // Until the upgrade is done these are HTTP; after it, whole control frames.
    const auto opcode = static_cast<Opcode>(std::to_integer<std::uint8_t>(bytes.data()[0]) & 0x0F);
    if (!listener_ || opcode != Opcode::close) return;
    outbox_.seal();
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(bytes.data()[i]); };
    listener_->on_close_frame_written(bytes.size() < 4
                                          ? close_code::no_status
                                          : static_cast<std::uint16_t>(byte(2) << 8 | byte(3)));
  }

  template <class Handler>
  void finish_write(std::size_t size, Handler handler) {
    if (is_down_) return complete(std::move(handler), boost::asio::error::broken_pipe, 0);
    if (outbox_.bytes() >= beast_high_water) abort();  // in all that time it read too little
    complete(std::move(handler), {}, size);
  }

  template <class Handler>
  void complete(Handler handler, error_code error, std::size_t n) {
    boost::asio::post(executor_, [handler = std::move(handler), error, n]() mutable {
      std::move(handler)(error, n);
    });
  }

  void flush() override {
    const auto self = shared_from_this();
    while (!is_down_ && !is_writing_ && !outbox_.empty()) {
      std::array<std::span<const std::byte>, max_gathered> parts;
      const std::size_t count = outbox_.gather(parts);
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
      if (n < size && !is_down_) wait_until_writable();
    }
  }

  void wait_until_writable() {
    outbox_.mark_blocked();
    if (is_down_ || outbox_.empty()) return;
    std::array<std::span<const std::byte>, max_gathered> parts;
    const std::size_t count = outbox_.gather(parts);
    for (std::size_t i = 0; i < count; ++i) {
      gathered()[i] = boost::asio::const_buffer(parts[i].data(), parts[i].size());
    }
    is_writing_ = true;
    transport_->async_write({gathered().data(), count},
                            [self = shared_from_this()](error_code error, std::size_t n) {
                              self->is_writing_ = false;
                              if (self->is_down_) return;
                              if (error) return self->abort();
                              self->consume(n);
                              self->flush();
                            });
  }

  void consume(std::size_t n) {
    outbox_.consume(n);
    if (outbox_.empty() || (outbox_.bytes() < beast_high_water && !changed_.empty())) {
      changed_.notify_all();
    }
  }

  void on_deadline() noexcept {
    if (is_lingering_) {
      close();
    } else {
      abort();
    }
  }

  void go_down(bool abortively) noexcept {
    if (std::exchange(is_down_, true)) return;
    const auto self = weak_from_this().lock();
    outbox_.discard();
    if (abortively) {
      transport_->abort();
    } else {
      transport_->close();
    }
    clear_deadline();
    changed_.notify_all();
    if (listener_) listener_->on_down();
  }

  /// Reads something and forgets it. No coroutine: g++ 12 destroys a lambda that owns something
  /// twice if it is made inside a `co_await` expression.
  boost::asio::awaitable<void> discard(error_code& error) {
    leftover_.clear();
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<>(), error);
    return boost::asio::async_initiate<decltype(token), void(error_code)>(
        [self = shared_from_this()](auto handler) {
          self->transport_->async_read(
              65'536,
              [self, handler = std::move(handler)](
                  error_code e, boost::asio::const_buffer) mutable { std::move(handler)(e); });
        },
        token);
  }

  static constexpr std::size_t max_gathered = 64;  // what one sendmsg of Asio takes
  static std::array<boost::asio::const_buffer, max_gathered>& gathered() noexcept {
    static thread_local std::array<boost::asio::const_buffer, max_gathered> buffers;
    return buffers;
  }

  const boost::asio::any_io_executor executor_;
  const std::unique_ptr<Transport> transport_;
  const std::shared_ptr<Flusher> flusher_;
  const StreamOptions options_;
  Outbox outbox_;
  WaitList changed_;  // the outbox got emptier, or the link went down
  Timer deadline_;
  std::string leftover_;
  Clock::time_point last_activity_;
  Listener* listener_ = nullptr;
  bool is_writing_ = false;  // the transport has our buffers
  bool is_lingering_ = false;
  bool is_down_ = false;
};

}  // namespace roost::detail
