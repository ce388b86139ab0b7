// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/manager/registry/room_index.hpp"

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

/// The rooms of one manager, as its backplane knows them; leaves them at its end.
class RoomInterest final : public RoomObserver {
 public:
  explicit RoomInterest(std::shared_ptr<RoomRouting> routing);
  RoomInterest(const RoomInterest&) = delete;
  RoomInterest& operator=(const RoomInterest&) = delete;
  ~RoomInterest() override;

  void on_room_opened(std::string_view name) override;
  void on_room_closed(std::string_view name) noexcept override;

  [[nodiscard]] const std::shared_ptr<RoomRouting>& routing() const noexcept { return routing_; }

 private:
  const std::shared_ptr<RoomRouting> routing_;
  std::set<std::string, std::less<>> rooms_;
};

inline RoomInterest::RoomInterest(std::shared_ptr<RoomRouting> routing)
    : routing_(std::move(routing)) {}

inline RoomInterest::~RoomInterest() {
  for (const std::string& room : rooms_) routing_->leave(room);
}

inline void RoomInterest::on_room_opened(std::string_view name) {
  if (!rooms_.emplace(name).second) return;
  routing_->enter(name);
}

inline void RoomInterest::on_room_closed(std::string_view name) noexcept {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  rooms_.erase(found);
  routing_->leave(name);
}

}  // namespace roost::detail
