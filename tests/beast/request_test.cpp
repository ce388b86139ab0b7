// The parts of a request that need not be for a WebSocket: its path, its query, its token.
#include "roost/beast/request.hpp"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "catch.hpp"

using namespace roost;
namespace http = boost::beast::http;

namespace {

http::request<http::empty_body> asking_for(std::string_view target) {
  return {http::verb::get, {target.data(), target.size()}, 11};
}

std::optional<std::string> token_of(std::string_view authorization) {
  auto request = asking_for("/");
  request.set(http::field::authorization, {authorization.data(), authorization.size()});
  const auto token = bearer_token(request);
  if (!token) return std::nullopt;
  return std::string(*token);
}

}  // namespace

TEST_CASE("the path of a request is what comes before the query") {
  CHECK(path_of(asking_for("/")) == "/");
  CHECK(path_of(asking_for("/?utm_source=mail")) == "/");
  CHECK(path_of(asking_for("/healthz?")) == "/healthz");
  CHECK(path_of(asking_for("/a%20b/c?d=/e?f")) == "/a%20b/c");
  CHECK(path_of(http::request<http::string_body>(http::verb::post, "/ticket?x", 11)) == "/ticket");
}

TEST_CASE("a parameter of the query of any request is decoded") {
  const auto request = asking_for("/page?name=J%C3%BCrgen&empty&name=second");
  CHECK(query_of(request, "name") == "Jürgen");
  CHECK(query_of(request, "empty") == "");
  CHECK(query_of(request, "page") == std::nullopt);
  CHECK(query_of(asking_for("/page"), "name") == std::nullopt);
}

TEST_CASE("the scheme of a bearer token is written in any case, with one or more spaces after it") {
  for (const char* value : {"Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==",
                            "BEARER   a.b-c_d~e+f/g==", "bEaReR \ta.b-c_d~e+f/g== "}) {
    CAPTURE(value);
    CHECK(token_of(value) == "a.b-c_d~e+f/g==");
  }
}

TEST_CASE("a header that is not a bearer token gives none") {
  for (const char* value : {"", "Bearer", "Bearer ", "Bearer  ", "Bearertoken", "Basic token",
                            "Bearer: token", "token", " ", "Bearer two tokens", "Bearers token"}) {
    CAPTURE(value);
    CHECK(token_of(value) == std::nullopt);
  }
  CHECK(bearer_token(asking_for("/")) == std::nullopt);
}

TEST_CASE("of two Authorization headers neither counts") {
  auto request = asking_for("/");
  request.insert(http::field::authorization, "Bearer first");
  request.insert(http::field::authorization, "Bearer second");
  CHECK(bearer_token(request) == std::nullopt);
}
