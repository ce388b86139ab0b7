// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/manager/options.hpp"

namespace roost::detail {

/// The user that a connection belongs to, and what others may know about the user.
struct ConnectionUser {
  static constexpr std::size_t not_indexed = std::numeric_limits<std::size_t>::max();

  std::string name;
  std::string info;                    ///< JSON; empty: none.
  std::size_t position = not_indexed;  ///< Used by the `Registry`: index in its list.
};

/// Checks what the options of a new connection say about its user.
/// @returns null if they say nothing: the connection's id is its user
/// @par Errors  `errc::invalid_user`, `invalid_json`.
ROOST_WHEN_USED [[nodiscard]] std::unique_ptr<ConnectionUser> make_user(
    const ConnectOptions& options, const std::string& id);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/registry/connection_user.ipp"
#endif
