// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/stream_traits.hpp>

#include "roost/beast/conversation/reading.hpp"
#include "roost/beast/transport/tcp_transport.hpp"

namespace roost::detail {

/// The queue of a wrapped conversation, which also writes; `Reading` only reads.
class WrappedChannel final : public Channel {
 public:
  class Writer {
   public:
    virtual void write_front() = 0;
    virtual void end_stream(bool abortively) noexcept = 0;
    virtual void on_deadline() noexcept = 0;
    [[nodiscard]] virtual KernelProgress progress() noexcept = 0;

   protected:
    ~Writer() = default;
  };

  using Channel::Channel;
  void set_writer(Writer* writer) noexcept { writer_ = writer; }

  bool try_flush() override {
    if (is_writing_ || outbox().empty()) return false;
    flush();
    return true;
  }
  [[nodiscard]] bool is_writing() const noexcept { return is_writing_; }

  /// Called when the first frame of the queue is written.
  void on_written() {
    is_writing_ = false;
    if (is_down()) return;
    consume(outbox().front().frame.size());
    flush();
  }

 private:
  void flush() override {
    if (is_down() || is_writing_ || outbox().empty() || !writer_) return;
    is_writing_ = true;
    std::array<std::span<const std::byte>, 1> started;
    outbox().gather(started);
    outbox().mark_blocked();
    if (!is_down()) writer_->write_front();
  }
  [[nodiscard]] KernelProgress kernel_progress() const noexcept override {
    return writer_ ? writer_->progress() : KernelProgress();
  }
  void end_transport(bool abortively) noexcept override {
    if (writer_) writer_->end_stream(abortively);
  }
  void on_deadline() noexcept override { writer_ ? writer_->on_deadline() : abort(); }

  Writer* writer_ = nullptr;
};

/// A conversation over a stream that was already open. This is the slow path: Beast writes one
/// message at a time, since only Beast knows the state of its stream.
template <class Next, bool deflate>
class WrappedConversation final : public Reading<boost::beast::websocket::stream<Next, deflate>>,
                                  private WrappedChannel::Writer {
  using Stream = boost::beast::websocket::stream<Next, deflate>;
  using Base = Reading<Stream>;

 public:
  WrappedConversation(const std::shared_ptr<WrappedChannel>& channel, Stream&& stream)
      : Base(channel, std::move(stream)), wrapped_(*channel) {
    wrapped_.set_owner(this);
    wrapped_.set_writer(this);
    set_socket_options(boost::beast::get_lowest_layer(this->stream_));
  }
  ~WrappedConversation() override {
    wrapped_.abort();
    wrapped_.set_owner(nullptr);
    wrapped_.set_writer(nullptr);
  }

 private:
  void write_front() override {
    namespace websocket = boost::beast::websocket;
    frame_ = wrapped_.outbox().front().frame;
    const auto done = [this, self = this->shared_from_this()](error_code error, std::size_t = 0) {
      if (error) {
        this->on_write_failed();
      } else {
        wrapped_.on_written();
      }
    };
    switch (frame_.opcode()) {
      case Opcode::text:
      case Opcode::binary: {
        this->stream_.text(frame_.opcode() == Opcode::text);
        const auto payload = frame_.payload();
        return this->stream_.async_write(boost::asio::const_buffer(payload.data(), payload.size()),
                                         done);
      }
      case Opcode::ping:
        return this->stream_.async_ping(websocket::ping_data(to_beast(frame_.payload_text())),
                                        done);
      case Opcode::pong:
        return this->stream_.async_pong(websocket::ping_data(to_beast(frame_.payload_text())),
                                        done);
      case Opcode::close: {
        const std::string_view payload = frame_.payload_text();
        websocket::close_reason reason;
        if (payload.size() >= 2) {
          reason.code = static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                                   static_cast<unsigned char>(payload[1]));
          reason.reason = to_beast(payload.substr(2));
        }
        if (this->is_finishing_) {
          const StreamOptions& options = wrapped_.options();
          wrapped_.set_flush_deadline(options.send_timeout, options.linger_timeout);
        }
        // Also reads the answer; ends the read, or is ended by it.
        return this->stream_.async_close(
            reason, [this, self = this->shared_from_this()](error_code) { wrapped_.end(); });
      }
    }
  }
  void flush_now() override { wrapped_.try_flush(); }
  [[nodiscard]] bool is_writing() const noexcept override { return wrapped_.is_writing(); }

  void end_stream(bool abortively) noexcept override {
    end_lowest(boost::beast::get_lowest_layer(this->stream_), abortively);
  }
  void on_deadline() noexcept override {
    if (!this->is_finishing_ || this->stream_.is_open()) return wrapped_.abort();
    if (!this->is_failing() || std::exchange(is_shut_, true)) return this->give_up();
    // The peer has been told, and does not close its side. Pretend that it has, so that Beast
    // reports what the peer has done wrong.
    wrapped_.set_deadline(std::chrono::milliseconds(100));
    shut_receiving(boost::beast::get_lowest_layer(this->stream_));
  }
  KernelProgress progress() noexcept override {
    return progress_of(boost::beast::get_lowest_layer(this->stream_));
  }

  template <class Lowest>
  static KernelProgress progress_of(Lowest& lowest) noexcept {
    if constexpr (requires { lowest.socket(); }) {
      return progress_of(lowest.socket());
    } else if constexpr (requires { kernel_progress(lowest.native_handle()); }) {
      return kernel_progress(lowest.native_handle());
    } else {
      return {};
    }
  }

  template <class Lowest>
  void set_socket_options(Lowest& lowest) {
    if constexpr (requires { lowest.socket(); }) {
      set_socket_options(lowest.socket());
    } else if constexpr (requires { lowest.lowest_layer().native_handle(); }) {
      // A next layer that is not a TCP socket has no such options, and needs none.
      set_options(lowest, wrapped_.options().send_buffer_bytes);
    }
  }

  template <class Lowest>
  static void shut_receiving(Lowest& lowest) noexcept {
    if constexpr (requires { lowest.socket(); }) {
      shut_receiving(lowest.socket());
    } else {
      error_code ignored;
      const auto what = boost::asio::socket_base::shutdown_receive;
      if constexpr (requires { lowest.shutdown(what, ignored); }) lowest.shutdown(what, ignored);
    }
  }

  template <class Lowest>
  static void end_lowest(Lowest& lowest, bool abortively) noexcept {
    if constexpr (requires { lowest.socket(); }) {
      end_lowest(lowest.socket(), abortively);
    } else {
      error_code ignored;
      if constexpr (requires { lowest.set_option(boost::asio::socket_base::linger(), ignored); }) {
        if (abortively) lowest.set_option(boost::asio::socket_base::linger(true, 0), ignored);
      }
      if constexpr (requires { lowest.close(ignored); }) {
        lowest.close(ignored);
      } else {
        lowest.close();
      }
    }
  }

  static boost::beast::string_view to_beast(std::string_view text) noexcept {
    return {text.data(), text.size()};
  }

  WrappedChannel& wrapped_;
  Frame frame_;           // being written
  bool is_shut_ = false;  // whether receiving is shut down
};

}  // namespace roost::detail
