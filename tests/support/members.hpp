// SPDX-License-Identifier: MIT
// Which of the members that a socket need not have a fake has: a misspelled one would be no error.
#pragma once

#include <roost/socket/detail/if_able.hpp>

namespace roost::test {

template <class Ws>
concept Aborts = detail::if_able::can_abort<Ws>;
template <class Ws>
concept OffersFrames = detail::if_able::offers_frames<Ws>;
template <class Ws>
concept FormsFrames = detail::if_able::forms_frames<Ws>;
template <class Ws>
concept ClosesWithReason = requires(Ws& ws) { ws.close(1000, "why"); };
template <class Ws>
concept KnowsItsEnd = requires(const Ws& ws) { std::optional<Disconnect>(ws.ended()); };

}  // namespace roost::test
