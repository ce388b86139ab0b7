// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/base/error.hpp"
#include "roost/runtime/detail/wait_list.hpp"

namespace roost::detail {

/// What became of a message that was published, for the one who waits for it.
struct Outcome {
  std::optional<Published> known = {};
  WaitList changed = {};
};

/// The other end: tells what became of the message, once. Where it goes without a word, Redis could
/// not be reached.
class OutcomePromise {
 public:
  OutcomePromise() noexcept = default;  // nobody waits
  explicit OutcomePromise(std::shared_ptr<Outcome> outcome) noexcept
      : outcome_(std::move(outcome)) {}
  OutcomePromise(OutcomePromise&& other) noexcept = default;
  OutcomePromise& operator=(OutcomePromise&& other) noexcept {
    if (this == &other) return *this;
    give_up();
    outcome_ = std::move(other.outcome_);
    return *this;
  }
  ~OutcomePromise() { give_up(); }

  void tell(const Published& published) {
    const std::shared_ptr<Outcome> outcome = std::exchange(outcome_, nullptr);
    if (!outcome) return;
    outcome->known = published;
    outcome->changed.notify_all();
  }
  void give_up() { tell({.error = make_error_code(errc::backplane_unavailable)}); }

 private:
  std::shared_ptr<Outcome> outcome_;
};

}  // namespace roost::detail
