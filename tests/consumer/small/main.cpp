// SPDX-License-Identifier: MIT
#include <roost/socket/frame.hpp>
#include <roost/version.hpp>

static_assert(ROOST_VERSION_MAJOR >= 0);

int main() { return roost::Frame::text("found").payload().size() == 5 ? 0 : 1; }
