// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#if defined(__linux__)
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#endif

#include "roost/beast/listening/listening.hpp"

namespace roost::detail {

// --- the port ---

ROOST_DECL void share_port(boost::asio::ip::tcp::acceptor& acceptor) {
#if defined(SO_REUSEPORT)
  // `SO_REUSEPORT` through one of Asio's internal option types: Asio has no option of its own for
  // it.
  acceptor.set_option(boost::asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
#else
  throw boost::system::system_error(boost::asio::error::operation_not_supported);
#endif
}

/// Opens the socket so that programs which this process starts do not inherit it.
ROOST_DECL void open_socket(boost::asio::ip::tcp::acceptor& acceptor,
                            const boost::asio::ip::tcp& protocol) {
#if defined(__linux__)
  const int type = protocol.type() | SOCK_CLOEXEC;
  const int socket = ::socket(protocol.family(), type, protocol.protocol());
  if (socket < 0) throw boost::system::system_error(errno, boost::system::system_category());
  boost::system::error_code error;
  acceptor.assign(protocol, socket, error);
  if (!error) return;
  ::close(socket);
  throw boost::system::system_error(error);
#else
  acceptor.open(protocol);
  close_on_exec(acceptor.native_handle());
#endif
}

ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    const ListenOptions& options) {
  boost::asio::ip::tcp::acceptor acceptor(executor);
  try {
    open_socket(acceptor, endpoint.protocol());
    acceptor.set_option(boost::asio::socket_base::reuse_address(true));
    if (options.reuse_port) share_port(acceptor);
    set_options(acceptor, options.stream.send_buffer_bytes);
    acceptor.non_blocking(true);
    // Without this option Asio blocks in `accept` until the next client comes, if a client has left
    // before it was accepted.
    acceptor.set_option(boost::asio::socket_base::enable_connection_aborted(true));
    acceptor.bind(endpoint);
    acceptor.listen(options.backlog);
  } catch (const boost::system::system_error& error) {
    std::ostringstream what;
    what << "cannot listen on " << endpoint << ": " << error.code().message();
    throw Error(errc::address_unavailable, what.str());
  }
  return acceptor;
}

/// Like `acceptor.accept`, but programs which this process starts do not inherit the socket.
/// @returns nothing if there is an error
ROOST_DECL std::optional<boost::asio::ip::tcp::socket> accept_socket(
    boost::asio::ip::tcp::acceptor& acceptor, const boost::asio::any_io_executor& executor,
    boost::asio::ip::tcp::endpoint& peer, boost::system::error_code& error) {
  std::optional<boost::asio::ip::tcp::socket> socket;
#if defined(__linux__)
  auto size = static_cast<socklen_t>(peer.capacity());
  const int accepted = ::accept4(acceptor.native_handle(), peer.data(), &size, SOCK_CLOEXEC);
  if (accepted < 0) {
    const bool is_nobody = errno == EPROTO || errno == EINTR;  // try the next one
    error.assign(is_nobody ? ECONNABORTED : errno, boost::system::system_category());
    return socket;
  }
  peer.resize(size);
  socket.emplace(executor).assign(peer.protocol(), accepted, error);
  if (error) ::close(accepted);
#else
  acceptor.accept(socket.emplace(executor), peer, error);
  if (!error) close_on_exec(socket->native_handle());
#endif
  if (error) socket.reset();
  return socket;
}

/// Accepts one client and begins to serve it.
/// @param error  `would_block`: no other client waits; `connection_aborted`: the client has left
///               already
ROOST_DECL void accept_one(const std::shared_ptr<Listening>& listening,
                           boost::asio::ip::tcp::acceptor& acceptor, const SharedByLinks& shared,
                           boost::system::error_code& error) {
  const boost::asio::any_io_executor& executor = shared.flusher->get_executor();
  boost::asio::ip::tcp::endpoint peer;
  auto socket = accept_socket(acceptor, executor, peer, error);
  if (!socket) return;
#if !defined(__linux__)
  set_options(*socket, shared.options->send_buffer_bytes);
#endif
  ConnectionLimiter::Slot slot;
  if (listening->options.address_key && !listening->options.request_key) {
    try {
      slot = listening->admit(listening->options.address_key(peer.address()));
    } catch (...) {  // by `address_key`; accepting goes on
      return log_failure(listening->logger);
    }
    if (!slot) return;
  }
  const std::shared_ptr<Link> link = listening->make_link(std::move(*socket), shared);
  link->hold(std::move(slot));
  begin_serving(listening, link, peer);
}

/// Accepts all connections that the kernel has queued, since closing the acceptor would reset them,
/// then closes the acceptor.
ROOST_DECL void accept_rest(const std::shared_ptr<Listening>& listening,
                            boost::asio::ip::tcp::acceptor& acceptor, const SharedByLinks& shared) {
  constexpr int most = 65'536;  // bounds how many may be added meanwhile
  boost::system::error_code error;
  for (int i = 0; i < most && !listening->is_stopped; ++i) {
    accept_one(listening, acceptor, shared, error);
    if (error && error != boost::asio::error::connection_aborted) break;
  }
  acceptor.close(error);
}

/// Accepts connections until the listener is stopped or handed over.
ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor) {
  constexpr int max_accepted = 16;
  const ScopedValue registration(listening->acceptor, &acceptor);
  const SharedByLinks shared{
      .flusher = Flusher::of(acceptor.get_executor()),
      .poller = ReadPoller::of(acceptor.get_executor()),
      .options = LoopClock::own(acceptor.get_executor(), listening->options.stream,
                                &StreamOptions::clock)};
  while (!listening->is_stopped && !listening->is_handed_over) {
    boost::system::error_code error;
    co_await acceptor.async_wait(boost::asio::ip::tcp::acceptor::wait_read,
                                 boost::asio::redirect_error(boost::asio::use_awaitable, error));
    // Clients that wait are accepted together, so that their requests are read together. The batch
    // is bounded: the event loop has other work, and no handshake is evicted for a client of the
    // same batch.
    for (int i = 0; i < max_accepted && !error && !listening->is_stopped; ++i) {
      if (i > 0 && listening->handshakes.size() >= listening->options.max_handshakes) break;
      accept_one(listening, acceptor, shared, error);
    }
    if (!error || error == boost::asio::error::would_block ||
        error == boost::asio::error::connection_aborted || listening->is_stopped ||
        listening->is_handed_over) {
      continue;
    }
    if (error == boost::asio::error::operation_aborted) co_return;
    // Most likely there are no file descriptors left: wait until other connections have ended.
    listening->log_limited(Severity::error, "accept_failed", {{"why", error.message()}});
    Clock& clock = *listening->options.stream.clock;
    co_await sleep_until(acceptor.get_executor(), clock,
                         clock.now() + std::chrono::milliseconds(100));
  }
  if (!listening->is_stopped) accept_rest(listening, acceptor, shared);
}

ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening) {
  if (!listening->gate->is_open()) throw Error(errc::draining, "the manager takes no connections");
  auto acceptor = open_acceptor(executor, endpoint, listening->options);
  listening->local_endpoint = acceptor.local_endpoint();
  listening->gate->add(listening);
  listening->gate->visits().spawn(
      executor, accept_all(listening, std::move(acceptor)),
      [listening](const std::exception_ptr& error) {
        log(listening->logger, Severity::error, "listener_failed", {{"why", describe(error)}});
      });
}

// --- clients in their handshake ---

ROOST_DECL boost::asio::awaitable<void> watch_handshakes(
    std::shared_ptr<Listening> listening, boost::asio::any_io_executor executor,
    std::shared_ptr<const StreamOptions> options) {
  const ScopedValue watching(listening->watches_handshakes, true);
  Clock::time_point deadline = listening->next_deadline();
  while (deadline != Timer::never()) {
    const bool is_early =
        co_await wait(listening->handshakes_changed, executor, *options->clock, deadline);
    if (!is_early) listening->abort_late(deadline);
    deadline = listening->next_deadline();
  }
}

ROOST_DECL ConnectionLimiter::Slot Listening::admit(const std::string& key) {
  ConnectionLimiter::Slot slot = limiter.admit(key);
  if (slot) return slot;
  ++gate->turned_away().by_key;
  log_limited(Severity::warning, "refused_by_key", {{"key", key}});
  return slot;
}

ROOST_DECL void Listening::note_refusal(const Refusal& refusal) noexcept {
  ++gate->turned_away().malformed;
  const LogField status("status", std::to_string(refusal.status));
  const LogField why("why", refusal.why);
  if (refusal.unit.empty()) {
    return log_limited(Severity::info, "request_refused", {status, why});
  }
  // A warning: the limit may be too low for the cookies of this site.
  log_limited(Severity::warning, "request_refused",
              {status,
               why,
               {refusal.unit, std::to_string(refusal.size)},
               {"limit", std::to_string(refusal.limit)}});
}

ROOST_DECL void Listening::evict_handshakes() noexcept {
  while (handshakes.size() >= options.max_handshakes) {
    Visitor& oldest = handshakes.front();
    const std::shared_ptr<Link> link = oldest.link();
    oldest.end_handshake();
    if (link) link->abort();
    ++gate->turned_away().evicted;
    log_limited(Severity::warning, "handshake_evicted",
                {{"limit", std::to_string(options.max_handshakes)}});
  }
}

ROOST_DECL void Listening::end_accepting() noexcept {
  is_stopped = true;
  error_code ignored;
  if (acceptor) acceptor->close(ignored);
  handshakes_changed.notify_all();
}

ROOST_DECL Clock::time_point Listening::next_deadline() const noexcept {
  for (const Visitor& visitor : handshakes) {
    if (visitor.deadline() != Timer::never()) return visitor.deadline();
  }
  return Timer::never();
}

ROOST_DECL void Listening::abort_late(Clock::time_point deadline) noexcept {
  for (Visitor& visitor : handshakes) {
    if (visitor.deadline() == Timer::never()) continue;
    if (visitor.deadline() > deadline) return;
    visitor.take_deadline();
    if (const auto link = visitor.link()) link->abort();
  }
}

template <class Predicate>
void Listening::abort_if(Predicate predicate) noexcept {
  for (Visitors* const list : {&handshakes, &others}) {
    for (const Visitor& visitor : *list) {
      const std::shared_ptr<Link> link = visitor.link();
      if (link && predicate(visitor, *link)) link->abort();
    }
  }
}

ROOST_DECL Clock::duration Listening::handshake_timeout() const noexcept {
  const StreamOptions& stream = options.stream;
  return gate->is_open() ? stream.handshake_timeout
                         : std::min(stream.handshake_timeout, stream.close_timeout);
}

ROOST_DECL void Listening::hand_over() noexcept {
  // A drain must not wait longer for a client that never ends its request than for one that does
  // not answer a close frame.
  for (Visitor& visitor : handshakes) {
    if (const auto link = visitor.link()) {
      visitor.tighten_deadline(link->clock().now() + handshake_timeout());
    }
  }
  handshakes_changed.notify_all();
  if (!options.reuse_port) return;
  is_handed_over = true;
  error_code ignored;
  if (acceptor) acceptor->cancel(ignored);
}

ROOST_DECL void Listening::stop() noexcept {
  end_accepting();
  abort_if([](const Visitor& visitor, const Link&) { return !visitor.is_known(); });
}

ROOST_DECL void Listening::close() noexcept {
  end_accepting();
  // Browsers open connections in advance: a drain does not wait for these.
  abort_if([](const Visitor&, const Link& link) { return !link.has_received(); });
}

ROOST_DECL void Listening::cut_off() noexcept {
  end_accepting();
  abort_if([](const Visitor&, const Link&) { return true; });
}

}  // namespace roost::detail
