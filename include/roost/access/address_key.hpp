// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <string>

namespace roost {

/// The key of an address for a `ConnectionLimiter`: who has one IPv6 address has a network of them,
/// so these are taken by /64.
/// @returns empty, which has no limit, for loopback, private (RFC 1918, 6598, 4193) and link-local
///          addresses: that is a proxy in front of many clients rather than one of them.
[[nodiscard]] inline std::string address_key(const boost::asio::ip::address& address) {
  using namespace boost::asio::ip;
  if (address.is_v4() || address.to_v6().is_v4_mapped()) {
    const address_v4 v4 =
        address.is_v4() ? address.to_v4() : make_address_v4(v4_mapped, address.to_v6());
    const auto is_in = [n = v4.to_uint()](address_v4::uint_type network, int bits) {
      return (n ^ network) >> (32 - bits) == 0;
    };
    const bool is_inside = is_in(0x7F00'0000, 8) || is_in(0x0A00'0000, 8) ||
                           is_in(0xAC10'0000, 12) || is_in(0xC0A8'0000, 16) ||
                           is_in(0x6440'0000, 10) || is_in(0xA9FE'0000, 16);
    return is_inside ? std::string() : v4.to_string();
  }
  address_v6::bytes_type bytes = address.to_v6().to_bytes();
  const bool is_unique_local = (bytes[0] & 0xFE) == 0xFC;
  if (address.is_loopback() || is_unique_local || address.to_v6().is_link_local()) return {};
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return address_v6(bytes).to_string() + "/64";
}

}  // namespace roost
