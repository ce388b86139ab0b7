// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/async_result.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "roost/beast/transport/link.hpp"

namespace roost::detail {

/// A `Link` as Beast wants its next layer, for the upgrade: an asynchronous stream.
class LinkStream {
 public:
  using executor_type = boost::asio::any_io_executor;

  explicit LinkStream(std::shared_ptr<Link> link) : link_(std::move(link)) {}

  [[nodiscard]] executor_type get_executor() const noexcept { return link_->get_executor(); }
  [[nodiscard]] Link& link() const noexcept { return *link_; }

  template <class MutableBuffers, class Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, const std::shared_ptr<Link>& link, const MutableBuffers& b) {
          link->read(b, std::move(handler));
        },
        token, link_, buffers);
  }
  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, const std::shared_ptr<Link>& link, const ConstBuffers& b) {
          link->write(b, std::move(handler));
        },
        token, link_, buffers);
  }

 private:
  std::shared_ptr<Link> link_;
};

// Beast finds it by argument-dependent lookup.
inline void beast_close_socket(LinkStream& stream) { stream.link().abort(); }

}  // namespace roost::detail
