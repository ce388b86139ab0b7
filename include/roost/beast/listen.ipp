// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#if defined(__linux__)
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#endif

#include "roost/access/origin_policy.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/text/text.hpp"
#include "roost/beast/listen.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost {
namespace detail {

ROOST_DECL void share_port(boost::asio::ip::tcp::acceptor& acceptor) {
#if defined(SO_REUSEPORT)
  // As one of Asio's own options, which has none for this.
  acceptor.set_option(boost::asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
#else
  throw boost::system::system_error(boost::asio::error::operation_not_supported);
#endif
}

/// No program that is started meanwhile gets the socket.
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
    // Else Asio waits for the next, blocking all, where one has left before it was accepted.
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

/// What is answered to a request that is not for the handler of the application; none if it is.
/// @par Errors  what the application throws
ROOST_DECL std::optional<std::string> answer_unless_it_throws(Listening& listening,
                                                              const HttpRequest& request) {
  const unsigned version = request.version();
  if (!is_upgrade(request)) {
    if (!listening.options.on_http) return not_an_upgrade_response(request);
    HttpResponse own = listening.options.on_http(request);
    own.version(version);
    own.keep_alive(false);
    own.prepare_payload();
    if (request.method() == boost::beast::http::verb::head) own.body().clear();
    return serialize(own);
  }
  if (const auto refusal = check_handshake(request)) {
    listening.note_refusal(*refusal);
    return refusal_response(*refusal, version);
  }
  if (!listening.gate->is_open()) {
    const auto retry = std::chrono::ceil<std::chrono::seconds>(listening.gate->next_retry());
    return http_response(503, {}, version, {.retry_after = retry});
  }
  const auto log = [&](Severity severity, std::string_view event,
                       std::initializer_list<LogField> fields) {
    listening.log_limited(severity, event, fields);
  };
  if (!check_origin(listening.origins, header_value(request, "Origin"),
                    header_value(request, "Host"), log)) {
    return http_response(403, "This page may not connect.\n", version);
  }
  return std::nullopt;
}

/// The answer where the application has failed to give one.
ROOST_DECL std::string failure_response(const HttpRequest& request) {
  return http_response(500, {}, request.version(),
                       {.is_head = request.method() == boost::beast::http::verb::head});
}

ROOST_DECL void log_failure(const Logger& logger) noexcept {
  log(logger, Severity::error, "connection_failed", {{"why", describe(std::current_exception())}});
}

/// What is answered to a request that is not for the handler of the application, also where the
/// application throws.
ROOST_DECL std::optional<std::string> answer(Listening& listening, const HttpRequest& request) {
  try {
    return answer_unless_it_throws(listening, request);
  } catch (...) {
    log_failure(listening.logger);
    return failure_response(request);
  }
}

/// Asks for the key of a request, and takes a place among those of that key.
/// @returns what is answered if there is none
ROOST_DECL std::optional<std::string> admit(Listening& listening, Link& link,
                                            const HttpRequest& request,
                                            const boost::asio::ip::tcp::endpoint& peer) {
  if (!listening.options.request_key) return std::nullopt;
  try {
    auto slot = listening.admit(listening.options.request_key(request, peer));
    if (!slot) {
      return http_response(429, {}, request.version(), {.retry_after = slot.retry_after()});
    }
    link.hold(std::move(slot));
    return std::nullopt;
  } catch (...) {
    log_failure(listening.logger);
    return failure_response(request);
  }
}

/// What a handler lets escape ends its connection, not the server.
ROOST_DECL void report(const Logger& logger, const std::exception_ptr& error) noexcept {
  if (!error) return;
  Severity severity = Severity::error;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error&) {
    severity = Severity::debug;  // a peer that left, or a refusal that is in the log already
  } catch (...) {
  }
  log(logger, severity, "connection_failed", {{"why", describe(error)}});
}

/// Counts a handshake that came to nothing because of who began it.
ROOST_DECL void note_failure(const Listening::Visitor& visitor, const std::exception_ptr& error) {
  Listening& listening = visitor.listening();
  if (!error || !visitor.is_in_handshake() || listening.is_stopped) return;
  try {
    std::rethrow_exception(error);
  } catch (const RefusedRequest& e) {
    listening.note_refusal(e.refusal());
  } catch (const boost::system::system_error& e) {
    if (!is(e, errc::timed_out)) return;
    ++listening.gate->turned_away().timed_out;
    listening.log_limited(Severity::info, "handshake_timed_out", {});
  } catch (...) {
  }
}

/// An `Upgrade` that the handler has dropped without an answer: it is closed, or after an exception
/// answered with 500.
ROOST_DECL void end_unanswered(const std::shared_ptr<Listening::Visitor>& visitor,
                               const std::exception_ptr& error) {
  const std::shared_ptr<Link> link = std::exchange(visitor->unanswered(), nullptr);
  if (!link || link->is_down()) return;
  if (!error) return link->close();
  TaskGroup& visits = visitor->listening().gate->visits();
  visits.spawn(link->get_executor(), respond(link, http_response(500, {}, 11)),
               [visitor](const std::exception_ptr&) {});
}

/// Runs a coroutine for somebody who has come, who is known for as long as that lasts.
/// @param is_handler  whether it is that of the application
ROOST_DECL void spawn(const boost::asio::any_io_executor& executor,
                      std::shared_ptr<Listening::Visitor> visitor,
                      boost::asio::awaitable<void> coroutine, bool is_handler) {
  TaskGroup& visits = visitor->listening().gate->visits();
  visits.spawn(executor, std::move(coroutine),
               [visitor = std::move(visitor), is_handler](const std::exception_ptr& error) {
                 note_failure(*visitor, error);
                 report(visitor->listening().logger, error);
                 if (is_handler || error) end_unanswered(visitor, error);
               });
}

ROOST_DECL boost::asio::awaitable<void> serve(std::shared_ptr<Listening::Visitor> visitor,
                                              std::shared_ptr<Link> link,
                                              boost::asio::ip::tcp::endpoint remote_endpoint) {
  Listening& listening = visitor->listening();
  HttpRequest request = co_await read_request(link);
  if (link->is_down()) co_return;  // the listener has stopped
  if (std::optional<std::string> response = answer(listening, request)) {
    co_return co_await respond(link, std::move(*response));
  }
  if (std::optional<std::string> response = admit(listening, *link, request, remote_endpoint)) {
    co_return co_await respond(link, std::move(*response));
  }
  visitor->become_known();
  // In a coroutine of its own: this one, with all that reading a request needs, is done.
  const auto executor = link->get_executor();
  Upgrade upgrade(std::move(link), std::move(request), std::move(remote_endpoint),
                  std::shared_ptr<std::shared_ptr<Link>>(visitor, &visitor->unanswered()));
  spawn(executor, visitor, listening.handler(std::move(upgrade)), /*is_handler=*/true);
}

ROOST_DECL void begin_serving(const boost::asio::any_io_executor& executor,
                              const std::shared_ptr<Listening>& listening,
                              std::shared_ptr<Link> link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint) {
  listening->evict_handshakes();
  if (listening->is_stopped) return link->abort();  // by whoever was asked or told meanwhile
  link->set_deadline(listening->options.stream.handshake_timeout);
  auto visitor = std::make_shared<Listening::Visitor>(listening, link);
  auto serving = serve(visitor, std::move(link), remote_endpoint);
  spawn(executor, std::move(visitor), std::move(serving), /*is_handler=*/false);
}

/// Like `acceptor.accept`, but no program that is started meanwhile gets the socket.
ROOST_DECL void accept_socket(boost::asio::ip::tcp::acceptor& acceptor,
                              boost::asio::ip::tcp::socket& socket,
                              boost::asio::ip::tcp::endpoint& peer,
                              boost::system::error_code& error) {
#if defined(__linux__)
  auto size = static_cast<socklen_t>(peer.capacity());
  const int accepted = ::accept4(acceptor.native_handle(), peer.data(), &size, SOCK_CLOEXEC);
  if (accepted < 0) {
    const bool is_nobody = errno == EPROTO || errno == EINTR;  // look again
    error.assign(is_nobody ? ECONNABORTED : errno, boost::system::system_category());
    return;
  }
  peer.resize(size);
  socket.assign(peer.protocol(), accepted, error);
  if (error) ::close(accepted);
#else
  acceptor.accept(socket, peer, error);
  if (!error) close_on_exec(socket.native_handle());
#endif
}

/// @param error  `would_block`: nobody else waits; `connection_aborted`: it has left meanwhile
ROOST_DECL void accept_one(const std::shared_ptr<Listening>& listening,
                           boost::asio::ip::tcp::acceptor& acceptor,
                           const std::shared_ptr<const StreamOptions>& stream_options,
                           boost::system::error_code& error) {
  const boost::asio::any_io_executor executor = acceptor.get_executor();
  boost::asio::ip::tcp::socket socket(executor);
  boost::asio::ip::tcp::endpoint peer;
  accept_socket(acceptor, socket, peer, error);
  if (error) return;
#if !defined(__linux__)
  set_options(socket, stream_options->send_buffer_bytes);
#endif
  ConnectionLimiter::Slot slot;
  if (listening->options.address_key && !listening->options.request_key) {
    try {
      slot = listening->admit(listening->options.address_key(peer.address()));
    } catch (...) {  // the application's; those who come next are accepted
      return log_failure(listening->logger);
    }
    if (!slot) return;
  }
  auto link = std::make_shared<Link>(executor, listening->make_transport(std::move(socket)),
                                     stream_options);
  link->hold(std::move(slot));
  begin_serving(executor, listening, std::move(link), peer);
}

/// Lets in all that the kernel has queued, since closing the acceptor would reset them, and closes
/// it.
ROOST_DECL void accept_rest(const std::shared_ptr<Listening>& listening,
                            boost::asio::ip::tcp::acceptor& acceptor,
                            const std::shared_ptr<const StreamOptions>& stream_options) {
  constexpr int most = 65'536;  // what others can add meanwhile has an end
  boost::system::error_code error;
  for (int i = 0; i < most && !listening->is_stopped; ++i) {
    accept_one(listening, acceptor, stream_options, error);
    if (error && error != boost::asio::error::connection_aborted) break;
  }
  acceptor.close(error);
}

ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor) {
  constexpr int max_accepted = 16;
  const ScopedValue registration(listening->acceptor, &acceptor);
  const auto stream_options =
      LoopClock::own(acceptor.get_executor(), listening->options.stream, &StreamOptions::clock);
  while (!listening->is_stopped && !listening->is_handed_over) {
    boost::system::error_code error;
    co_await acceptor.async_wait(boost::asio::ip::tcp::acceptor::wait_read,
                                 boost::asio::redirect_error(boost::asio::use_awaitable, error));
    // Who waits comes in together, so that their requests are read together. But the loop has other
    // work, and nobody gives way to those who only came along.
    for (int i = 0; i < max_accepted && !error && !listening->is_stopped; ++i) {
      if (i > 0 && listening->handshakes.size() >= listening->options.max_handshakes) break;
      accept_one(listening, acceptor, stream_options, error);
    }
    if (!error || error == boost::asio::error::would_block ||
        error == boost::asio::error::connection_aborted || listening->is_stopped ||
        listening->is_handed_over) {
      continue;
    }
    if (error == boost::asio::error::operation_aborted) co_return;
    // No file descriptors, most likely: those that are connected must end first.
    listening->log_limited(Severity::error, "accept_failed", {{"why", error.message()}});
    Clock& clock = *listening->options.stream.clock;
    co_await sleep_until(acceptor.get_executor(), clock,
                         clock.now() + std::chrono::milliseconds(100));
  }
  if (!listening->is_stopped) accept_rest(listening, acceptor, stream_options);
}

ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening) {
  if (!listening->gate->is_open()) throw Error(errc::draining, "the manager takes nobody any more");
  auto acceptor = open_acceptor(executor, endpoint, listening->options);
  listening->local_endpoint = acceptor.local_endpoint();
  listening->gate->add(listening);
  listening->gate->visits().spawn(
      executor, accept_all(listening, std::move(acceptor)),
      [listening](const std::exception_ptr& error) {
        log(listening->logger, Severity::error, "listener_failed", {{"why", describe(error)}});
      });
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
  // The limit may be too low for the cookies of this site.
  log_limited(Severity::warning, "request_refused",
              {status,
               why,
               {refusal.unit, std::to_string(refusal.size)},
               {"limit", std::to_string(refusal.limit)}});
}

ROOST_DECL void Listening::evict_handshakes() noexcept {
  while (handshakes.size() >= options.max_handshakes) {
    Visitor& oldest = *handshakes.front();
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
}

template <class Predicate>
void Listening::abort_if(Predicate predicate) noexcept {
  for (const Visitor* visitor : visitors) {
    const std::shared_ptr<Link> link = visitor->link();
    if (link && predicate(*visitor, *link)) link->abort();
  }
}

ROOST_DECL void Listening::hand_over() noexcept {
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
  // Browsers connect in advance: nobody waits for those.
  abort_if([](const Visitor&, const Link& link) { return !link.has_received(); });
}

ROOST_DECL void Listening::shut() noexcept {
  end_accepting();
  abort_if([](const Visitor&, const Link&) { return true; });
}

}  // namespace detail

ROOST_DECL void Listener::stop() noexcept {
  if (listening_) listening_->stop();
}

}  // namespace roost
