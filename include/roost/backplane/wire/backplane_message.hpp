// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "roost/backplane/wire/wire_fields.hpp"
#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/hook.hpp"

namespace roost::detail {

/// A message on its way to handlers, shared by all of them. Values are made of its text only where
/// a handler wants them.
/// @par Thread safety  From any thread.
class Parcel {
 public:
  /// @pre `parse_message` takes @p text; or nobody looks into it unless `is_scanned`
  explicit Parcel(std::string text);
  /// @param bytes  of it, serialised
  Parcel(nlohmann::json message, std::size_t bytes);
  /// Clients get what is in the text, handlers what is in the value.
  Parcel(std::string text, nlohmann::json message);
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  /// Whether it is certain, without a parser, that this is a message.
  [[nodiscard]] bool is_scanned() const noexcept { return fields_.has_value(); }
  /// Whether it is certain, too, that it has no fields but those of a message.
  [[nodiscard]] bool is_plain() const noexcept { return fields_ && !fields_->has_others; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.empty() ? bytes_ : text_.size(); }

  /// @par Errors  `errc::invalid_json` where a value cannot hold what the text says
  ROOST_WHEN_USED [[nodiscard]] const nlohmann::json& json() const;
  /// What clients get: JSON as its publisher wrote it.
  ROOST_WHEN_USED [[nodiscard]] OrSkipped<WireMessage> decode() const;

 private:
  const std::string text_;
  const std::optional<WireFields> fields_;
  const std::size_t bytes_ = 0;
  const bool is_parsed_ = false;
  mutable std::once_flag once_;
  mutable nlohmann::json json_;
};
using ParcelPtr = std::shared_ptr<const Parcel>;
using ParcelHandler = Hook<void(const Parcel&)>;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/wire/backplane_message.ipp"
#endif
