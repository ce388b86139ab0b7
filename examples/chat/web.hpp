// Answers plain HTTP requests: the page, the health checks and the metrics. A public server should
// serve the checks and the metrics on another port, which is not public.
#pragma once

#include <prometheus/text_serializer.h>

#include <roost/beast.hpp>
#include <roost/prometheus.hpp>
#include <string>
#include <string_view>

#include "replicas.hpp"

extern const std::string_view chat_page;    // page.html
extern const std::string_view chat_script;  // page.js
extern const std::string_view chat_resume;  // resume.js

class Web {
 public:
  Web(Replicas::Service& service, const Replicas& replicas)
      : manager_(service.manager()), replicas_(replicas) {
    metrics_.add(service);
    replicas.add_to(metrics_);
  }

  [[nodiscard]] roost::HttpResponse answer(const roost::HttpRequest& request) const {
    using enum boost::beast::http::status;
    const std::string_view path = roost::path_of(request);  // without the query
    if (path == "/") return reply(ok, "text/html; charset=utf-8", chat_page);
    if (path == "/page.js") return reply(ok, "text/javascript; charset=utf-8", chat_script);
    if (path == "/resume.js") return reply(ok, "text/javascript; charset=utf-8", chat_resume);
    if (path == "/healthz") return reply(ok, "text/plain", "ok\n");  // alive: it answers
    if (path == "/readyz") return readiness();
    if (path == "/metrics") {
      return reply(ok, "text/plain; version=0.0.4; charset=utf-8",
                   prometheus::TextSerializer().Serialize(metrics_.Collect()));
    }
    if (!path.starts_with("/ws/")) {
      return reply(not_found, "text/plain", "There is nothing here.\n");
    }
    auto response = reply(upgrade_required, "text/plain", "This is for WebSockets.\n");
    response.set(boost::beast::http::field::upgrade, "websocket");
    return response;
  }

 private:
  /// Whether a load balancer should send clients here. It should even while Redis is down: every
  /// replica is then without Redis, and the members of one replica still reach each other.
  [[nodiscard]] roost::HttpResponse readiness() const {
    using enum boost::beast::http::status;
    if (manager_.is_draining()) return reply(service_unavailable, "text/plain", "going away\n");
    return reply(ok, "text/plain",
                 replicas_.are_reachable() ? "ready\n"
                                           : "ready, but Redis cannot be reached: members of other "
                                             "servers are not heard\n");
  }
  static roost::HttpResponse reply(boost::beast::http::status status, std::string_view type,
                                   std::string_view body) {
    roost::HttpResponse response(status, 11);
    response.set(boost::beast::http::field::content_type, type);
    response.set(boost::beast::http::field::cache_control, "no-cache");
    response.body() = body;
    return response;
  }

  const Replicas::Service::Manager& manager_;
  const Replicas& replicas_;
  roost::Metrics metrics_;
};
