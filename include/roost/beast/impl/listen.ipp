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

#include "roost/beast/impl/http.ipp"
#include "roost/beast/listen.hpp"
#include "roost/detail/check_origin.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/describe.hpp"
#include "roost/detail/loop_clock.hpp"
#include "roost/detail/scoped_value.hpp"
#include "roost/detail/wait.hpp"

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

ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    const ListenOptions& options) {
  boost::asio::ip::tcp::acceptor acceptor(executor);
  try {
    acceptor.open(endpoint.protocol());
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
ROOST_DECL std::optional<std::string> answer(Listening& listening, const HttpRequest& request) {
  const unsigned version = request.version();
  if (!boost::beast::websocket::is_upgrade(request)) {
    if (!listening.options.on_http) return not_an_upgrade_response(request);
    HttpResponse own = listening.options.on_http(request);
    own.version(version);
    own.keep_alive(false);
    own.prepare_payload();
    if (request.method() == boost::beast::http::verb::head) own.body().clear();
    return serialize(own);
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
  } catch (const boost::system::system_error& e) {
    namespace http = boost::beast::http;
    if (is(e, errc::timed_out)) {
      ++listening.gate->turned_away().timed_out;
      listening.log_limited(Severity::info, "handshake_timed_out", {});
    } else if (e.code().category() == make_error_code(http::error::bad_method).category() &&
               e.code() != http::error::end_of_stream && e.code() != http::error::partial_message) {
      ++listening.gate->turned_away().malformed;
      listening.log_limited(Severity::info, "request_refused", {{"why", e.code().message()}});
    }
  } catch (...) {
  }
}

/// Runs a coroutine for somebody who has come, who is known for as long as that lasts.
ROOST_DECL void spawn(const boost::asio::any_io_executor& executor,
                      std::shared_ptr<Listening::Visitor> visitor,
                      boost::asio::awaitable<void> coroutine) {
  TaskGroup& visits = visitor->listening().gate->visits();
  visits.spawn(executor, std::move(coroutine),
               [visitor = std::move(visitor)](const std::exception_ptr& error) {
                 note_failure(*visitor, error);
                 report(visitor->listening().logger, error);
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
  if (listening.options.request_key) {
    auto slot = listening.admit(listening.options.request_key(request, remote_endpoint));
    if (!slot) {
      std::string refusal =
          http_response(429, {}, request.version(), {.retry_after = slot.retry_after()});
      co_return co_await respond(link, std::move(refusal));
    }
    link->hold(std::move(slot));
  }
  visitor->become_known();
  // In a coroutine of its own: this one, with all that reading a request needs, is done.
  const auto executor = link->get_executor();
  Upgrade upgrade(std::move(link), std::move(request), std::move(remote_endpoint));
  spawn(executor, visitor, listening.handler(std::move(upgrade)));
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
  spawn(executor, std::move(visitor), std::move(serving));
}

/// @param error  `would_block`: nobody else waits; `connection_aborted`: it has left meanwhile
ROOST_DECL void accept_one(const std::shared_ptr<Listening>& listening,
                           boost::asio::ip::tcp::acceptor& acceptor,
                           const std::shared_ptr<const StreamOptions>& stream_options,
                           boost::system::error_code& error) {
  const boost::asio::any_io_executor executor = acceptor.get_executor();
  boost::asio::ip::tcp::socket socket(executor);
  boost::asio::ip::tcp::endpoint peer;
  acceptor.accept(socket, peer, error);
  if (error) return;
#if !defined(__linux__)
  set_options(socket, stream_options->send_buffer_bytes);
#endif
  ConnectionLimiter::Slot slot;
  if (listening->options.address_key && !listening->options.request_key) {
    slot = listening->admit(listening->options.address_key(peer.address()));
    if (!slot) return;
  }
  auto link = std::make_shared<Link>(executor, listening->make_transport(std::move(socket)),
                                     stream_options);
  link->hold(std::move(slot));
  begin_serving(executor, listening, std::move(link), peer);
}

ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor) {
  constexpr int max_accepted = 16;
  const ScopedValue registration(listening->acceptor, &acceptor);
  const auto stream_options =
      LoopClock::own(acceptor.get_executor(), listening->options.stream, &StreamOptions::clock);
  while (!listening->is_stopped) {
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
        error == boost::asio::error::connection_aborted || listening->is_stopped) {
      continue;
    }
    if (error == boost::asio::error::operation_aborted) co_return;
    // No file descriptors, most likely: those that are connected must end first.
    listening->log_limited(Severity::error, "accept_failed", {{"why", error.message()}});
    Clock& clock = *listening->options.stream.clock;
    co_await sleep_until(acceptor.get_executor(), clock,
                         clock.now() + std::chrono::milliseconds(100));
  }
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
