// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/options.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"

namespace roost::detail {

/// Which connections get a broadcast, of one manager or of every replica. It owns its names, since
/// the options of a call are views.
struct Audience {
  bool is_everyone = false;  ///< Else those in `rooms`, which may be nobody.
  std::vector<std::string> rooms = {};
  std::vector<std::string> exclude = {};

  /// @par Errors  `errc::invalid_room_name`
  static Audience of(const BroadcastOptions& options, std::size_t max_room_name_bytes) {
    Audience to;
    to.rooms.reserve(options.rooms.size() + 1);
    if (options.room) to.rooms.emplace_back(*options.room);
    for (const std::string_view room : options.rooms) to.rooms.emplace_back(room);
    to.check_names(max_room_name_bytes);
    // An empty list of rooms reaches nobody: it must not turn into everyone.
    to.is_everyone = !options.room && !options.rooms.is_given();
    to.exclude.reserve(options.exclude.size());
    for (const std::string_view id : options.exclude) to.exclude.emplace_back(id);
    return to;
  }

  /// @par Errors  `errc::invalid_room_name`
  void check_names(std::size_t max_room_name_bytes) const {
    for (const std::string& room : rooms) validate_room_name(room, max_room_name_bytes);
  }
};

/// How a message is sent: see `SendOptions`. Its key is that of the frame.
struct Manner {
  std::optional<Overflow> overflow = {};
  SendReport* report = nullptr;  ///< Null where nobody waits.

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

  /// What outboxes do with @p frame. None: what each connection does by default.
  [[nodiscard]] std::optional<FramePolicy> policy(const Frame& frame) const {
    const std::string_view key = frame.key();
    if (!overflow && key.empty()) return std::nullopt;
    FramePolicy policy{.overflow = overflow.value_or(Overflow::drop_oldest)};
    if (!key.empty()) policy.key_hash = static_cast<std::uint32_t>(StringHash()(key)) | 1U;
    return policy;
  }
};

}  // namespace roost::detail
