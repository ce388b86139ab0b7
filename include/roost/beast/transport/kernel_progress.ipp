// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/build/config.hpp"
#include "roost/beast/transport/kernel_progress.hpp"

#if defined(__linux__)
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#endif

namespace roost::detail {

ROOST_DECL KernelProgress kernel_progress([[maybe_unused]] int socket) noexcept {
  KernelProgress progress;
#if defined(__linux__)
  int queued = 0;
  if (::ioctl(socket, SIOCOUTQ, &queued) == 0 && queued > 0) {
    progress.unacknowledged = static_cast<std::size_t>(queued);
  }
  // The kernel's `tcp_info`, of which the C library knows only the first 104 bytes:
  // `tcpi_rto` in microseconds is at 8, `tcpi_bytes_acked` (Linux 4.1) at 120.
  std::array<unsigned char, 128> info{};
  socklen_t size = info.size();
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, info.data(), &size) != 0 || size < info.size()) {
    return progress;
  }
  std::uint32_t rto = 0;
  std::uint64_t acknowledged = 0;
  std::memcpy(&rto, &info[8], sizeof rto);
  std::memcpy(&acknowledged, &info[120], sizeof acknowledged);
  progress.acknowledged = acknowledged;
  progress.round_trip = std::chrono::microseconds(rto);
#endif
  return progress;
}

}  // namespace roost::detail
