// SPDX-License-Identifier: MIT
// The one file of a program that compiles the adapters.
#include <roost/src.hpp>
