// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace roost::detail {

/// What the kernel knows of how far a peer has come. What it has accepted says little: its buffer
/// may hold what a slow link takes twenty seconds for, and it asks for more only when a third of
/// that is free.
struct KernelProgress {
  /// Bytes that the peer has acknowledged. Not set: unknown.
  std::optional<std::uint64_t> acknowledged = {};
  /// Bytes in the kernel's buffer: on their way, or not even that.
  std::size_t unacknowledged = 0;
  /// How long an acknowledgement may take before the kernel sends again; 0: unknown.
  std::chrono::steady_clock::duration round_trip = {};
};

/// Of a TCP socket; next to nothing where the system does not tell.
[[nodiscard]] KernelProgress kernel_progress(int socket) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/kernel_progress.ipp"
#endif
