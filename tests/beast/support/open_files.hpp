// SPDX-License-Identifier: MIT
#pragma once

#include <sys/resource.h>

#include <algorithm>

namespace roost::test {

/// Both ends of many sockets are in one process.
inline void allow_open_files(rlim_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min(count, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace roost::test
