// SPDX-License-Identifier: MIT
// Managers over the sockets of the tests: most of what a test file compiles.
#include "support/frame_fake.hpp"
#include "support/plain_socket.hpp"

namespace roost {
template class Connection<test::FrameFake>;
template class ConnectionManager<test::FrameFake>;
template class Connection<test::PlainSocket>;
template class ConnectionManager<test::PlainSocket>;
}  // namespace roost
