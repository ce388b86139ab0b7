// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Presence within one process: who is in a room, for the `LocalBackplane`s of a hub. Programs that
/// do not include this compile none of it.

#include "roost/backplane/local_backplane.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/base/build/config.hpp"

namespace roost {

namespace detail {
class LocalPresenceFactory;
}

/// Makes presence for `LocalBackplaneOptions::presence`. All backplanes of a hub need it, with the
/// same options.
/// @code
/// roost::LocalBackplaneOptions options;
/// options.presence = roost::local_presence({.rules = {{.rooms = "chat/*"}}});
/// @endcode
/// @par Errors  `errc::invalid_option`, naming the field.
[[nodiscard]] std::shared_ptr<const detail::LocalPresenceFactory> local_presence(
    PresenceOptions options);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/local_presence.ipp"
#endif
