// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/websocket/stream.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "roost/beast/detail/link.hpp"
#include "roost/beast/detail/link_stream.hpp"
#include "roost/beast/detail/reading.hpp"

namespace roost::detail {

/// A conversation over a `Link`, the fast path: all frames of our own, close frames included, go
/// straight to the link, below Beast.
class LinkConversation final
    : public Reading<boost::beast::websocket::stream<LinkStream, /*deflateSupported=*/false>>,
      private Link::Listener {
 public:
  explicit LinkConversation(const std::shared_ptr<Link>& link)
      : Reading(link, LinkStream(link)), link_(*link) {}
  ~LinkConversation() override {
    link_.set_listener(nullptr);
    link_.abort();
  }

  void start() override {
    link_.set_listener(this);
    Reading::start();
  }

 private:
  void on_close_frame_written(std::uint16_t code) override {
    // An answer to the peer's close frame finds the conversation ended.
    end({.reason = code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                       : DisconnectReason::protocol_error,
         .code = code,
         .text = {}});
  }
  void on_link_down() override { on_channel_down(); }

  Link& link_;
};

}  // namespace roost::detail
