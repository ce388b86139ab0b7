// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <memory>
#include <utility>

namespace roost::detail {

/// The executor of an operation that is composed of many steps, for an owner that wants to be there
/// at each of them: it runs the step, `run_step(f)`, and sees what has become of the stream.
///
/// Beast tells nobody that a peer has broken the protocol until that peer has closed its side, and
/// has no limit on how long that may take.
template <class Owner>
class StepExecutor {
 public:
  StepExecutor(boost::asio::any_io_executor inner, std::shared_ptr<Owner> owner) noexcept
      : inner_(std::move(inner)), owner_(std::move(owner)) {}

  template <class Function>
  void execute(Function f) const {
    inner_.execute([owner = owner_, f = std::move(f)]() mutable { owner->run_step(std::move(f)); });
  }

  template <class Property>
    requires(boost::asio::can_query<const boost::asio::any_io_executor&, Property>::value)
  auto query(const Property& property) const {
    return boost::asio::query(inner_, property);
  }
  template <class Property>
    requires(boost::asio::can_require<const boost::asio::any_io_executor&, Property>::value)
  StepExecutor require(const Property& property) const {
    return {boost::asio::require(inner_, property), owner_};
  }
  template <class Property>
    requires(boost::asio::can_prefer<const boost::asio::any_io_executor&, Property>::value &&
             !boost::asio::can_require<const boost::asio::any_io_executor&, Property>::value)
  StepExecutor prefer(const Property& property) const {
    return {boost::asio::prefer(inner_, property), owner_};
  }

  bool operator==(const StepExecutor& other) const noexcept {
    return inner_ == other.inner_ && owner_ == other.owner_;
  }
  bool operator!=(const StepExecutor& other) const noexcept { return !(*this == other); }

 private:
  boost::asio::any_io_executor inner_;
  std::shared_ptr<Owner> owner_;
};

}  // namespace roost::detail
