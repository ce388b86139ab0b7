// SPDX-License-Identifier: MIT
#include <roost/roost.hpp>
#include <roost/testing.hpp>

int main() { return ROOST_VERSION_MAJOR; }
