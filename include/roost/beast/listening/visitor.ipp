// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/detached.hpp>

#include "roost/beast/http/head_reader.hpp"
#include "roost/beast/listening/listening.hpp"

namespace roost::detail {

ROOST_DECL Visitor::Visitor(std::shared_ptr<Listening> listening, const std::shared_ptr<Link>& link,
                            Clock::time_point deadline)
    : Task(listening->gate->visits(), link->get_executor()),
      deadline_(deadline),
      listening_(std::move(listening)),
      link_(link) {
  listening_->handshakes.push_back(*this);
}

ROOST_DECL Visitor::~Visitor() {
  auto& list = is_in_handshake_ ? listening_->handshakes : listening_->others;
  list.erase(list.iterator_to(*this));
  listening_->note_handshake_ended();
  finish();
}

ROOST_DECL void Visitor::end_handshake() noexcept {
  if (!std::exchange(is_in_handshake_, false)) return;
  listening_->others.splice(listening_->others.end(), listening_->handshakes,
                            listening_->handshakes.iterator_to(*this));
  listening_->note_handshake_ended();
}

ROOST_DECL bool Visitor::waits_for_answer() const noexcept {
  return unanswered_ && !unanswered_->is_down() && !listening_->is_stopped;
}

/// The answer to a request that is not for the handler of the application; `nullopt` if the request
/// is for the handler.
/// @par Errors  those of the application's functions.
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
  if (!check_origin(listening.origins, header_value(request, boost::beast::http::field::origin),
                    header_value(request, boost::beast::http::field::host), log)) {
    return http_response(403, "This page may not connect.\n", version);
  }
  return std::nullopt;
}

/// The answer if a function of the application has thrown.
ROOST_DECL std::string failure_response(const HttpRequest& request) {
  return http_response(500, {}, request.version(),
                       {.is_head = request.method() == boost::beast::http::verb::head});
}

ROOST_DECL void log_failure(const Logger& logger) noexcept {
  log(logger, Severity::error, "connection_failed", {{"why", describe(std::current_exception())}});
}

/// The answer to a request that is not for the handler of the application, also if a function of
/// the application throws.
ROOST_DECL std::optional<std::string> answer(Listening& listening, const HttpRequest& request) {
  try {
    return answer_unless_it_throws(listening, request);
  } catch (...) {
    log_failure(listening.logger);
    return failure_response(request);
  }
}

/// Asks the application for the key of a request, and takes a place among the connections with that
/// key.
/// @returns the refusal, if all places of that key are taken.
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

/// Logs the exception with which a handler ended its connection; the server goes on.
ROOST_DECL void report(const Visitor& visitor, const std::exception_ptr& error) noexcept {
  if (!error) return;
  Severity severity = Severity::error;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error&) {
    // A peer that left, or a refusal that was logged already, is not an error; a peer that gets a
    // 500 is.
    if (!visitor.waits_for_answer()) severity = Severity::debug;
  } catch (...) {
  }
  log(visitor.listening().logger, severity, "connection_failed", {{"why", describe(error)}});
}

/// Counts a handshake that failed because of the peer.
ROOST_DECL void note_failure(const Visitor& visitor, const std::exception_ptr& error) {
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

/// Ends an `Upgrade` that the handler has dropped without an answer: answers with 500 after an
/// exception, else closes the connection.
ROOST_DECL void end_unanswered(Visitor& visitor, const std::exception_ptr& error) {
  const std::shared_ptr<Link> link = std::exchange(visitor.unanswered(), nullptr);
  if (!link || link->is_down()) return;
  if (!error) return link->end();
  visitor.run(link->get_executor(), respond(link, http_response(500, {}, 11)));
}

/// Called when nothing runs for a client any more.
/// @param error  why it ended; null: as intended
ROOST_DECL void note_end(Visitor& visitor, const std::exception_ptr& error) {
  note_failure(visitor, error);
  report(visitor, error);
  end_unanswered(visitor, error);
}

ROOST_DECL void Visitor::run(const boost::asio::any_io_executor& executor,
                             boost::asio::awaitable<void> coroutine) {
  boost::asio::co_spawn(executor, std::move(coroutine), JobCompletion<Visitor>(shared_from_this()));
}

ROOST_DECL void Visitor::end(const std::exception_ptr& error) {
  if (error && !is_cancelled) note_end(*this, error);
}

/// Calls the handler of the application.
ROOST_DECL void call_handler(const std::shared_ptr<Visitor>& visitor,
                             const std::shared_ptr<Link>& link, HttpRequest request,
                             const boost::asio::ip::tcp::endpoint& remote_endpoint) {
  const Clock::time_point deadline = visitor->take_deadline();
  visitor->become_known();
  Upgrade upgrade(link, std::move(request), remote_endpoint,
                  std::shared_ptr<std::shared_ptr<Link>>(visitor, &visitor->unanswered()));
  visitor->run(link->get_executor(), visitor->listening().handler(std::move(upgrade)));
  // Most handlers have answered by now: a timer of its own only for one that takes time.
  if (visitor->link() && !link->is_down() && !link->has_deadline()) {
    std::unique_ptr<Link, AbortLink> unless_it_has_a_deadline(link.get());
    link->set_deadline(deadline - link->clock().now());
    static_cast<void>(unless_it_has_a_deadline.release());
  }
}

/// A request that is being read; owned by the pending read. Not a coroutine: that would cost
/// several blocks of memory for each connection.
struct PendingRequest {
  PendingRequest(std::shared_ptr<Visitor> v, std::shared_ptr<Link> l,
                 const boost::asio::ip::tcp::endpoint& peer)
      : visitor(std::move(v)), link(std::move(l)), remote_endpoint(peer), head(*link) {}

  const std::shared_ptr<Visitor> visitor;
  const std::shared_ptr<Link> link;
  const boost::asio::ip::tcp::endpoint remote_endpoint;
  HeadReader head;
};

/// Answers a request, or calls the handler of the application.
ROOST_DECL void serve(PendingRequest& pending) {
  Listening& listening = pending.visitor->listening();
  const std::shared_ptr<Link>& link = pending.link;
  const boost::asio::any_io_executor& executor = link->get_executor();
  if (auto refusal = pending.head.judge()) {
    pending.visitor->take_deadline();
    return pending.visitor->run(executor, refuse(link, std::move(*refusal)));
  }
  if (link->is_down()) return;  // the listener has stopped
  HttpRequest request = pending.head.parser.release();
  std::optional<std::string> response = answer(listening, request);
  if (!response) response = admit(listening, *link, request, pending.remote_endpoint);
  if (response) {
    pending.visitor->take_deadline();
    pending.visitor->run(executor, respond(link, std::move(*response)));
  } else {
    call_handler(pending.visitor, link, std::move(request), pending.remote_endpoint);
  }
}

/// Reads until the head of the request is complete, then serves the request.
ROOST_DECL void read_on(std::unique_ptr<PendingRequest> pending) {
  const std::shared_ptr<Visitor> visitor = pending->visitor;
  try {
    HeadReader& head = pending->head;
    if (head.is_done()) return serve(*pending);
    head.read([pending = std::move(pending)]() mutable { read_on(std::move(pending)); });
  } catch (...) {
    note_end(*visitor, std::current_exception());
  }
}

ROOST_DECL void begin_reading(std::unique_ptr<PendingRequest> pending, error_code error) {
  try {
    if (error) fail_handshake(*pending->link, error);
    pending->head.take_leftover();
  } catch (...) {
    return note_end(*pending->visitor, std::current_exception());
  }
  read_on(std::move(pending));
}

ROOST_DECL void begin_serving(const std::shared_ptr<Listening>& listening,
                              const std::shared_ptr<Link>& link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint) {
  listening->evict_handshakes();
  if (listening->is_stopped) return link->abort();  // stopped by a callback meanwhile
  auto visitor = std::make_shared<Visitor>(listening, link,
                                           link->clock().now() + listening->handshake_timeout());
  if (!listening->watches_handshakes) {
    boost::asio::co_spawn(link->get_executor(),
                          watch_handshakes(listening, link->get_executor(), link->shared_options()),
                          boost::asio::detached);
  }
  auto pending = std::make_unique<PendingRequest>(std::move(visitor), link, remote_endpoint);
  if (!link->needs_open()) return begin_reading(std::move(pending), {});
  link->open([pending = std::move(pending)](error_code error) mutable {
    begin_reading(std::move(pending), error);
  });
}

}  // namespace roost::detail
