// SPDX-License-Identifier: MIT
// The server's end of a `Wire`, on which a `Script` may let one call fail, wait or do less. To a
// `Link` it is like a TCP socket, and as unpleasant as the contract of `Transport` allows.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <roost/base/clock.hpp>
#include <roost/beast/transport/transport.hpp>
#include <roost/runtime/detail/wait.hpp>
#include <utility>
#include <vector>

#include "beast/support/script.hpp"
#include "beast/support/wire.hpp"

namespace roost::test {

class ScriptedTransport final : public detail::Transport {
 public:
  using error_code = boost::system::error_code;

  ScriptedTransport(boost::asio::any_io_executor executor, Script& script, std::size_t connection,
                    std::shared_ptr<Wire> wire)
      : executor_(std::move(executor)),
        script_(script),
        connection_(connection),
        wire_(std::move(wire)) {
    ++script_.transports;
  }
  ~ScriptedTransport() override {
    wire_->close_server();
    --script_.transports;
  }

  bool needs_open() const noexcept override { return true; }
  void async_open(Handler handler) override {
    operate(
        script_.begin(connection_, Io::open), [] { return true; }, std::move(handler));
  }

  void async_read(std::size_t max, ReadHandler handler) override {
    const Script::Call call = script_.begin(connection_, Io::read);
    operate(
        call, [this] { return wire_->is_readable(); },
        [this, max, call, handler = std::move(handler)](error_code error) mutable {
          std::vector<char> data;
          if (!error) data = wire_->read(std::min(max, script_.limit(call)), error);
          script_.has_read(call, data.size());
          // The handler may own what owns this; the bytes go right after it, and it must not mind.
          std::move(handler)(error, boost::asio::mutable_buffer(data.data(), data.size()));
        });
  }

  std::size_t write_some(Buffers buffers, error_code& error) override {
    const Script::Call call =
        script_.begin(connection_, Io::write_some, boost::asio::buffer_size(buffers));
    if (!wire_->server_is_open()) return error = boost::asio::error::bad_descriptor, 0;
    if (call.action == Action::reset) wire_->reset();
    if (call.is_to_fail()) return error = script_.fail(), 0;
    if (holds(call.action)) {
      // It cannot wait: the one that follows does.
      holds_next_write_ = true;
      return error = boost::asio::error::would_block, 0;
    }
    return wire_->write(buffers, script_.limit(call), error);
  }

  void async_write(Buffers buffers, WriteHandler handler) override {
    Script::Call call = script_.begin(connection_, Io::write, boost::asio::buffer_size(buffers));
    if (std::exchange(holds_next_write_, false)) call.action = script_.fault().action;
    const bool is_spurious = call.action == Action::split && script_.limit(call) == 0;
    operate(
        call, [this, is_spurious] { return is_spurious || wire_->is_writable(); },
        [this, call, handler = std::move(handler),
         copy = std::vector<boost::asio::const_buffer>(buffers.begin(), buffers.end())](
            error_code error) mutable {
          std::size_t n = 0;
          // TCP only waits here and TLS writes: both are seen.
          if (!error && call.action == Action::split) {
            n = wire_->write(copy, script_.limit(call), error);
            if (error == boost::asio::error::would_block) error = {};
          }
          std::move(handler)(error, n);
        });
  }

  void async_shutdown(Handler handler) override {
    operate(
        script_.begin(connection_, Io::shutdown), [] { return true; },
        [this, handler = std::move(handler)](error_code error) mutable {
          if (!error) wire_->shut_server();
          std::move(handler)(error);
        });
  }

  void close() noexcept override { wire_->close_server(); }
  void abort() noexcept override { wire_->abort_server(); }

 private:
  template <class Done>
  struct Operation {
    Script::Call call;
    std::function<bool()> is_ready;
    Done done;
    bool is_held = false;
  };

  // Never from inside the call. The operation owns its handler, which owns this.
  template <class Done>
  void operate(const Script::Call& call, std::function<bool()> is_ready, Done done) {
    if (call.action == Action::reset) wire_->reset();
    boost::asio::post(executor_, [this, operation = Operation<Done>{call, std::move(is_ready),
                                                                    std::move(done)}]() mutable {
      advance(std::move(operation));
    });
  }

  template <class Done>
  void advance(Operation<Done> operation) {
    const Action action = operation.call.action;
    if (operation.is_held) script_.let_go();
    if (!wire_->server_is_open())
      return std::move(operation.done)(boost::asio::error::operation_aborted);
    if (action == Action::fail || action == Action::reset)
      return std::move(operation.done)(script_.fail());
    if (!operation.is_ready()) return wait(std::move(operation));
    if (action == Action::fail_late) return std::move(operation.done)(script_.fail());
    if (holds(action) && !script_.is_released()) {
      operation.is_held = true;
      script_.hold();
      return wait(std::move(operation));
    }
    std::move(operation.done)(error_code());
  }

  // By a timer that is never due: like an operation of a socket it keeps the context busy, and is
  // destroyed with it.
  template <class Done>
  void wait(Operation<Done> operation) {
    detail::when_notified(
        wire_->server_changed, executor_, Clock::system(), detail::Timer::never(),
        [this, operation = std::move(operation)](bool) mutable { advance(std::move(operation)); });
  }

  const boost::asio::any_io_executor executor_;
  Script& script_;
  const std::size_t connection_;
  const std::shared_ptr<Wire> wire_;
  bool holds_next_write_ = false;
};

}  // namespace roost::test
