// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string_view>

namespace roost::detail {

/// The side of a backplane that brings messages only to where they are wanted: it has to be told in
/// which rooms there is somebody. From any thread.
class RoomRouting {
 public:
  virtual ~RoomRouting() = default;
  /// Once for each manager.
  virtual void enter(std::string_view room) = 0;
  virtual void leave(std::string_view room) noexcept = 0;
  /// Completes when messages to the rooms entered so far arrive; at once while nothing arrives.
  virtual boost::asio::awaitable<void> settled() = 0;
};

}  // namespace roost::detail
