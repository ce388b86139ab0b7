// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/connection.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/fan_out.hpp"
#include "roost/socket/detail/encode.hpp"
#include "roost/socket/frame.hpp"

namespace roost {

template <class Ws>
std::vector<std::string> Connection<Ws>::rooms() const {
  return ended() ? this->departure.rooms : detail::RoomIndex::rooms_of(*this);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send_text(std::string_view text, SendOptions options) {
  return send(detail::encode_text(text, options.key.value_or("")), options);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send_bytes(std::span<const std::byte> bytes,
                                                        SendOptions options) {
  return send(Frame::binary(bytes, options.key.value_or("")), options);
}

template <class Ws>
boost::asio::awaitable<bool> Connection<Ws>::send(Frame frame, const SendOptions& options) {
  return detail::FanOut<Ws>::send_to(manager_.lock(), this->shared_from_this(), std::move(frame),
                                     options);
}

}  // namespace roost
