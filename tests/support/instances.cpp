// SPDX-License-Identifier: MIT
// The templates that most files of tests need: most of what a file would compile.
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/plain_socket.hpp"

namespace roost {

template class Connection<test::FrameFake>;
template class ConnectionManager<test::FrameFake>;
template class Connection<test::PlainSocket>;
template class ConnectionManager<test::PlainSocket>;
template class test::Bench<testing::FakeWebSocket>;

namespace detail {
template class Child<void>;
template class Child<bool>;
template class Child<std::size_t>;
template class Child<std::string>;
template class Child<Disconnect>;
template class Child<DrainReport>;
template class Child<Published>;
template class Child<std::shared_ptr<Connection<testing::FakeWebSocket>>>;
template class Child<std::shared_ptr<Connection<test::FrameFake>>>;
}  // namespace detail

}  // namespace roost
