// SPDX-License-Identifier: MIT
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <memory>
#include <roost/beast/detail/read_poller.hpp>
#include <roost/testing.hpp>
#include <vector>

#include "catch.hpp"

using roost::detail::ReadPoller;
namespace asio = boost::asio;

namespace {

/// Is readable all the time, and takes longer than a turn of the poller for what it reads.
class Flooded final : public ReadPoller::Source {
 public:
  Flooded(asio::io_context& context, ReadPoller& poller, std::vector<const Flooded*>& told)
      : poller_(poller), told_(told), socket_(context), peer_(context) {
    asio::local::connect_pair(socket_, peer_);
    asio::write(peer_, asio::buffer("x", 1));
    poller_.wait(*this, socket_.native_handle());
  }
  ~Flooded() { poller_.forget(*this); }

 private:
  void on_readable() override {
    told_.push_back(this);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (std::chrono::steady_clock::now() <= end) {
    }
    if (--turns_ > 0) poller_.wait(*this, socket_.native_handle());
  }
  void on_context_gone() noexcept override {}

  ReadPoller& poller_;
  std::vector<const Flooded*>& told_;
  asio::local::stream_protocol::socket socket_, peer_;
  int turns_ = 3;
};

}  // namespace

TEST_CASE("ReadPoller: those who are flooded take turns") {
  asio::io_context context;
  const auto poller = ReadPoller::of(context.get_executor());
  REQUIRE(poller);
  std::vector<const Flooded*> told;
  Flooded a(context, *poller, told), b(context, *poller, told), c(context, *poller, told);
  roost::testing::run_ready(context);
  CHECK(told == std::vector<const Flooded*>{&a, &b, &c, &a, &b, &c, &a, &b, &c});
}
