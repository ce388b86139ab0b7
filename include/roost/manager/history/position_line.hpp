// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/manager/recovery.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

// A client that asked for positions gets a line before the payload of each message, and sends the
// positions when it comes back:
//
//   <room, percent-encoded>[:<position>][ <word>...] LF payload
//
// A message to that client alone, to a union of rooms or to everyone has no room in its line.
// Positions are opaque here: only the store that wrote them reads them.

namespace roost::detail {

/// Returns @p room as written in a line: all bytes except letters, digits and `-._~/` are
/// percent-encoded.
[[nodiscard]] std::string encode_room(std::string_view room);

/// Returns the line of a message to @p room, without the LF: `lobby`, or `lobby:<position>`.
[[nodiscard]] std::string position_line(std::string_view room, std::string_view position);

/// Returns the line that tells a client that it is in @p room: `lobby:<position> joined recovered`.
/// @param is_recovered  whether the client gets all messages that it missed
[[nodiscard]] std::string joined_line(std::string_view room, std::string_view position,
                                      bool is_recovered, std::optional<LossReason> lost);

/// Returns the line that tells a member of @p room that it has missed messages: `lobby:<position>
/// lost=gone`.
[[nodiscard]] std::string lost_line(std::string_view room, std::string_view position,
                                    LossReason reason);

/// Returns the line that tells a client that it has left @p room: `lobby left`.
[[nodiscard]] std::string left_line(std::string_view room);

/// The positions that a client sends when it comes back: `lobby:<position>,chat%2Fa:<position>`.
class ResumeToken {
 public:
  /// A longer text is cut.
  static constexpr std::size_t max_bytes = 8'192;
  /// Further rooms are ignored.
  static constexpr std::size_t max_rooms = 128;

  /// Makes the token of a client that has no position yet.
  ResumeToken() = default;
  /// Parses a token; @p text may be any bytes.
  explicit ResumeToken(std::string_view text);

  /// Returns the client's position in @p room, or nothing if it sent none. If part of the token
  /// could not be parsed, that part may have been this room: then the result is an empty position,
  /// which no store accepts.
  [[nodiscard]] std::optional<std::string_view> since(std::string_view room) const noexcept;

 private:
  struct Point {
    std::string room;
    std::string position;
  };
  void add(std::string_view part);

  std::vector<Point> points_;
  bool is_damaged_ = false;
};

/// The form in which a connection gets its frames: the form that its socket wants, with or without
/// a line before the payload that states the client's position. 0: unchanged.
enum class WireForm : std::uint64_t { as_it_is = 0 };

inline constexpr std::uint64_t lined_bit = std::uint64_t{1} << 32U;

[[nodiscard]] constexpr WireForm wire_form(FrameForm of_socket, bool is_lined) noexcept {
  return static_cast<WireForm>(of_socket | (is_lined ? lined_bit : 0));
}
[[nodiscard]] constexpr FrameForm of_socket(WireForm form) noexcept {
  return static_cast<FrameForm>(static_cast<std::uint64_t>(form) & 0xFFFF'FFFFU);
}
[[nodiscard]] constexpr bool is_lined(WireForm form) noexcept {
  return (static_cast<std::uint64_t>(form) & lined_bit) != 0;
}

/// One message in each form that was made of it.
using FormedFrames = std::vector<std::pair<WireForm, Frame>>;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/history/position_line.ipp"
#endif
