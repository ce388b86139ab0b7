// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/base/error.hpp"

namespace roost {

ROOST_DECL void Subscription::cancel() noexcept {
  if (const auto target = std::exchange(target_, {}).lock()) target->cancel();
}

ROOST_DECL bool Subscription::is_active() const noexcept {
  const auto target = target_.lock();
  return target && target->is_active();
}

ROOST_DECL const detail::AnyBackplane& BackplaneRef::any() const {
  if (!backplane_) throw Error(errc::backplane_unavailable, "the BackplaneRef is empty");
  return *backplane_;
}

}  // namespace roost
