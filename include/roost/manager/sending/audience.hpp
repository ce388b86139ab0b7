// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "roost/base/text/text.hpp"
#include "roost/manager/options.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// The recipients of a broadcast, in one manager or in every replica. It owns its names, because
/// the options of a call are views.
struct Audience {
  bool is_everyone = false;  ///< If not, the members of `rooms`, which may be nobody.
  std::vector<std::string> rooms = {};
  std::vector<std::string> exclude = {};

  /// @par Errors  `errc::invalid_room_name`
  static Audience of(const BroadcastOptions& options, std::size_t max_room_name_bytes) {
    Audience to;
    to.rooms.reserve(options.rooms.size() + 1);
    if (options.room) to.rooms.emplace_back(*options.room);
    for (const std::string_view room : options.rooms) to.rooms.emplace_back(room);
    to.check_names(max_room_name_bytes);
    // An empty list of rooms means nobody: it must not become everyone.
    to.is_everyone = !options.room && !options.rooms.is_given();
    to.exclude.reserve(options.exclude.size());
    for (const std::string_view id : options.exclude) to.exclude.emplace_back(id);
    return to;
  }

  /// Returns the room if the message goes to exactly one; otherwise an empty name.
  [[nodiscard]] std::string_view one_room() const noexcept {
    return !is_everyone && rooms.size() == 1 ? std::string_view(rooms.front()) : std::string_view();
  }

  /// @par Errors  `errc::invalid_room_name`
  void check_names(std::size_t max_room_name_bytes) const {
    for (const std::string& room : rooms) validate_room_name(room, max_room_name_bytes);
  }
};

/// How a message is sent, see `SendOptions`. The key is in the frame.
struct Manner {
  std::optional<Overflow> overflow = {};
  SendReport* report = nullptr;  ///< Null if nobody waits.

  /// @par Errors  `errc::invalid_option`, naming the field
  template <class Options>
  static Manner of(const Options& options) {
    if (options.key) {
      check_option(!options.key->empty() && options.key->size() <= 255,
                   "key must have 1 to 255 bytes");
      check_option(options.overflow != Overflow::close, "overflow must not be close with a key");
    }
    return {.overflow = options.overflow, .report = options.report};
  }

  /// Returns the policy for @p frame. Nothing: each connection applies its own.
  [[nodiscard]] std::optional<FramePolicy> policy(const Frame& frame) const {
    const std::string_view key = frame.key();
    if (!overflow && key.empty()) return std::nullopt;
    FramePolicy policy{.overflow = overflow.value_or(Overflow::drop_oldest)};
    if (!key.empty()) policy.key_hash = static_cast<std::uint32_t>(StringHash()(key)) | 1U;
    return policy;
  }
};

}  // namespace roost::detail
