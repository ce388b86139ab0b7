// SPDX-License-Identifier: MIT
// Catch2 version 3, or version 2 where that is what the system has (Debian 12).
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
