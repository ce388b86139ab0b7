// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles presence, for a program that defines `ROOST_SEPARATE_COMPILATION` and uses it: include
/// this in one of its files, see `roost/src.hpp`.

#include "roost/backplane/local_presence.ipp"
#include "roost/backplane/presence/own_users.ipp"
#include "roost/backplane/presence/presence_rooms.ipp"
#include "roost/backplane/presence/presence_shell.ipp"
