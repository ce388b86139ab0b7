// TLS for tests: a self-signed certificate for 127.0.0.1 that is used nowhere else.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <string_view>

namespace roost::test {

inline constexpr std::string_view certificate = R"(-----BEGIN CERTIFICATE-----
MIIBkzCCATigAwIBAgIUC+JkZbEqs3FkRtL2+dC7e07N+hgwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKcm9vc3QgdGVzdDAgFw0yNjExMjMyMzIxNDRaGA8yMTI2MTAz
MDIzMjE0NFowFTETMBEGA1UEAwwKcm9vc3QgdGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABKSCJ7qj61e5FENdAAwuDgMGYS8LRvYK3oiPkk3V4f1ASZpjR26y
OCTFUnSwSO8wLV52d62BzeZxICq9J2NSVcejZDBiMB0GA1UdDgQWBBQjtxCJywEx
YaIA8374dhJW1a83pjAfBgNVHSMEGDAWgBQjtxCJywExYaIA8374dhJW1a83pjAP
BgNVHRMBAf8EBTADAQH/MA8GA1UdEQQIMAaHBH8AAAEwCgYIKoZIzj0EAwIDSQAw
RgIhAOnu0YqfGEhDoTSlt/HEjma+jJXvMGK8NIK4hzTVY/8VAiEAhzwnMkin3kAx
b9xfP84JzLgl6OS2lT+3grQOb8jOBZU=
-----END CERTIFICATE-----
)";
inline constexpr std::string_view private_key = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsrwGBb9ulm8g4h/w
88P5Iof9J+5nGi0wgd2Hvn27n/2hRANCAASkgie6o+tXuRRDXQAMLg4DBmEvC0b2
Ct6Ij5JN1eH9QEmaY0dusjgkxVJ0sEjvMC1ednetgc3mcSAqvSdjUlXH
-----END PRIVATE KEY-----
)";

inline boost::asio::ssl::context server_tls() {
  boost::asio::ssl::context context(boost::asio::ssl::context::tls_server);
  context.use_certificate_chain(boost::asio::buffer(certificate));
  context.use_private_key(boost::asio::buffer(private_key), boost::asio::ssl::context::pem);
  return context;
}

// Accepts that certificate only.
inline boost::asio::ssl::context client_tls() {
  boost::asio::ssl::context context(boost::asio::ssl::context::tls_client);
  context.add_certificate_authority(boost::asio::buffer(certificate));
  context.set_verify_mode(boost::asio::ssl::verify_peer);
  return context;
}

}  // namespace roost::test
