// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Appends @p text as a JSON string, as nlohmann/json writes it. @pre it is UTF-8
void append_json_string(std::string& out, std::string_view text);

/// What a JSON string says. Half of a surrogate pair, which has no UTF-8, becomes U+FFFD.
/// @pre `JsonScanner` took it: its quotes are there, its escapes are whole
[[nodiscard]] std::string json_string_value(std::string_view quoted);

/// Replaces each escape of half a surrogate pair in a JSON text by that of U+FFFD: a browser that
/// cuts an emoji in two sends such an escape, RFC 8259 (section 8.2) allows it, and parsers that
/// make UTF-8 of it refuse the whole text.
/// @returns whether there was one
bool mend_surrogates(std::string& json) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/json_string.ipp"
#endif
