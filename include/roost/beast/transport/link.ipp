// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/error.hpp>

#include "roost/beast/transport/link.hpp"

namespace roost::detail {

inline constexpr std::size_t max_gathered = 64;  // the limit of one sendmsg by Asio

/// The next bytes to write as buffers of Asio; valid until the next call on this thread.
ROOST_DECL Transport::Buffers gather(Outbox& outbox) noexcept {
  static thread_local std::array<boost::asio::const_buffer, max_gathered> buffers;
  return {buffers.data(), outbox.gather(buffers)};
}

// Not a coroutine: g++ 12 destroys a lambda that owns something twice if it is made inside a
// `co_await` expression.
template <class Start>
boost::asio::awaitable<void> operate(error_code& error, Start start) {
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<>(), error);
  return boost::asio::async_initiate<decltype(token), void(error_code)>(std::move(start), token);
}

ROOST_DECL boost::asio::awaitable<void> Link::open(error_code& error) {
  return operate(error, [self = self()](Transport::Handler handler) {
    self->transport_.async_open(
        [self, handler = std::move(handler)](error_code e) mutable { std::move(handler)(e); });
  });
}

ROOST_DECL boost::asio::awaitable<void> Link::discard(error_code& error) {
  leftover_.clear();
  return operate(error, [self = self()](Transport::Handler handler) {
    self->transport_.async_read(
        65'536, [self, handler = std::move(handler)](
                    error_code e, boost::asio::mutable_buffer) mutable { std::move(handler)(e); });
  });
}

ROOST_DECL boost::asio::awaitable<void> Link::shutdown(error_code& error) {
  return operate(error, [self = self()](Transport::Handler handler) {
    self->transport_.async_shutdown(std::move(handler));
  });
}

ROOST_DECL boost::asio::awaitable<void> Link::linger(std::shared_ptr<Link> self) {
  self->outbox().seal();
  const StreamOptions& options = self->options();
  if (!self->has_deadline()) {
    self->set_flush_deadline(options.send_timeout, options.linger_timeout);
  }
  while (!self->is_down() && !self->outbox().empty()) {
    co_await wait(self->changed_, self->get_executor(), self->clock());
  }
  if (self->is_down()) co_return;
  self->is_lingering_ = true;
  // Shut down only after our kernel has sent everything: data that arrives afterwards would cause a
  // reset.
  self->set_flush_deadline(options.send_timeout, options.linger_timeout);
  error_code error;
  co_await self->shutdown(error);
  while (!error && !self->is_down()) co_await self->discard(error);
  self->end();
}

ROOST_DECL void Link::when_relieved(std::function<void()> f) {
  wait_for_relief({.end = outbox().consumed() + outbox().bytes(),
                   .consumed = outbox().consumed(),
                   .taken = send_progress().taken,
                   .deadline = clock().now() + options().send_timeout},
                  std::move(f));
}

ROOST_DECL void Link::wait_for_relief(Relief relief, std::function<void()> f) {
  if (is_down()) return;
  if (!is_congested() || outbox().consumed() >= relief.end) return f();
  bool makes_progress = outbox().consumed() != relief.consumed;
  if (!makes_progress && clock().now() >= relief.deadline) {
    // The kernel asks for more only when a third of its buffer is free: the peer may be reading
    // meanwhile.
    const std::uint64_t taken = send_progress().taken;
    if (!try_flush() && taken == relief.taken) return abort();  // it reads none of its answers
    if (is_down()) return;
    relief.taken = taken;
    makes_progress = true;
  }
  if (makes_progress) {
    relief.consumed = outbox().consumed();
    relief.deadline = clock().now() + options().send_timeout;
  }
  when_notified(
      changed_, get_executor(), clock(), relief.deadline,
      [this, relief, f = std::move(f)](bool) mutable { wait_for_relief(relief, std::move(f)); });
}

ROOST_DECL bool Link::write_once() {
  const Transport::Buffers buffers = gather(outbox());
  const std::size_t wanted = boost::asio::buffer_size(buffers);
  error_code error;
  const std::size_t n = transport_.write_some(buffers, error);
  if (error && error != boost::asio::error::would_block) {
    abort();
    return false;
  }
  consume(n);
  return n == wanted;
}

ROOST_DECL void Link::flush() {
  const auto keep = self();
  while (!is_down() && !is_writing_ && !outbox().empty()) {
    if (!write_once() && !is_down()) wait_until_writable();
  }
}

ROOST_DECL bool Link::try_flush() {
  if (is_down() || outbox().empty()) return false;
  if (!is_writing_) {
    flush();
    return true;
  }
  if (!transport_.only_waits()) return false;
  const auto keep = self();
  const std::uint64_t before = outbox().consumed();
  while (!is_down() && !outbox().empty() && write_once()) {
  }
  return outbox().consumed() != before;
}

ROOST_DECL void Link::wait_until_writable() {
  outbox().mark_blocked();
  if (is_down() || outbox().empty()) return;
  is_writing_ = true;
  transport_.async_write(gather(outbox()), [self = self()](error_code error, std::size_t n) {
    self->is_writing_ = false;
    if (self->is_down()) return;
    if (error) return self->abort();
    self->consume(n);
    self->flush();
  });
}

ROOST_DECL void Link::on_deadline() noexcept {
  if (is_lingering_) {
    end();
  } else {
    abort();
  }
}

ROOST_DECL void Link::end_transport(bool abortively) noexcept {
  if (abortively) {
    transport_.abort();
  } else {
    transport_.close();
  }
}

}  // namespace roost::detail
