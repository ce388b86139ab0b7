// What the chat answers to plain HTTP: its page, how it is, and what it counts. A server for the
// internet would keep the last two to itself, on a port of their own.
#pragma once

#include <prometheus/text_serializer.h>

#include <roost/beast.hpp>
#include <roost/prometheus.hpp>
#include <string>
#include <string_view>

#include "replicas.hpp"

extern const std::string_view chat_page;  // page.html

class Web {
 public:
  Web(Replicas::Service& service, const Replicas& replicas)
      : manager_(service.manager()), replicas_(replicas) {
    metrics_.add(service);
    replicas.add_to(metrics_);
  }

  [[nodiscard]] roost::HttpResponse answer(const roost::HttpRequest& request) const {
    using enum boost::beast::http::status;
    if (request.target() == "/") return reply(ok, "text/html; charset=utf-8", chat_page);
    if (request.target() == "/healthz") return health();
    if (request.target() == "/metrics") {
      return reply(ok, "text/plain; version=0.0.4; charset=utf-8",
                   prometheus::TextSerializer().Serialize(metrics_.Collect()));
    }
    if (!request.target().starts_with("/ws/")) {
      return reply(not_found, "text/plain", "There is nothing here.\n");
    }
    auto response = reply(upgrade_required, "text/plain", "This is for WebSockets.\n");
    response.set(boost::beast::http::field::upgrade, "websocket");
    return response;
  }

 private:
  /// Whether a load balancer should send clients here.
  [[nodiscard]] roost::HttpResponse health() const {
    using enum boost::beast::http::status;
    if (manager_.is_draining()) return reply(service_unavailable, "text/plain", "going away\n");
    if (!replicas_.are_reachable()) {
      return reply(service_unavailable, "text/plain", "Redis cannot be reached\n");
    }
    return reply(ok, "text/plain", "ok\n");
  }
  static roost::HttpResponse reply(boost::beast::http::status status, std::string_view type,
                                   std::string_view body) {
    roost::HttpResponse response(status, 11);
    response.set(boost::beast::http::field::content_type, type);
    response.body() = body;
    return response;
  }

  const Replicas::Service::Manager& manager_;
  const Replicas& replicas_;
  roost::Metrics metrics_;
};
