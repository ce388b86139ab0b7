// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/base/text/json.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

// A caller's mistake is an error to the caller, before any connection sees it.

Frame encode_text(std::string_view text, std::string_view key = {});

ROOST_WHEN_USED std::string dump_json(const nlohmann::json& value,
                                      std::size_t max_depth = max_json_depth);

ROOST_WHEN_USED Frame encode_json(const nlohmann::json& value, std::string_view key = {});

/// A value of a JSON text; discarded if there is none. Half of a surrogate pair becomes U+FFFD.
/// @pre it is not nested over `max_json_depth`
ROOST_WHEN_USED nlohmann::json parse_json(std::string_view text);

ROOST_WHEN_USED nlohmann::json decode_json(std::string_view text);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/socket/detail/encode.ipp"
#endif
