// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/build/config.hpp"

// The quick way from the text of a message to what clients get. It is for the usual only: whatever
// else there is, `parse_message` and `decode_wire` have to judge.

namespace roost::detail {

/// Where the fields of a message stand in its text: JSON, empty if missing. Names of others are
/// ignored, as replicas of any kind may add some.
struct WireFields {
  std::string_view kind = {};
  std::string_view room = {};
  std::string_view rooms = {};
  std::string_view payload = {};
  std::string_view exclude = {};
  std::string_view overflow = {};
  std::string_view key = {};
  bool has_others = false;  ///< It has other fields too.

  /// @param name  with its quotes. @returns null for what is not among them.
  [[nodiscard]] std::string_view* find(std::string_view name) noexcept;
};

/// The fields of a message that has none of them twice.
[[nodiscard]] std::optional<WireFields> find_fields(std::string_view text) noexcept;

/// What clients get. A JSON payload is left as the publisher wrote it.
ROOST_WHEN_USED [[nodiscard]] std::optional<WireMessage> decode_fields(const WireFields& fields);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/wire/wire_fields.ipp"
#endif
