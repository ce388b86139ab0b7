// SPDX-License-Identifier: MIT
// One client and a server on a wire in memory, from the first byte to the last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {

/// How the client behaves once it has sent all.
enum class Then { waits, shuts, resets };

struct Manners {
  bool compresses = false;
  bool is_patient = false;  ///< The client sends its request alone, and waits for the answer.
  bool echoes = false;      ///< The server sends back what it gets.
  Then then = Then::waits;
};

/// All that can be observed, except what depends on when bytes come.
struct Seen {
  std::string response;               ///< To the request.
  std::vector<std::string> requests;  ///< What the application was asked.
  std::vector<std::string> messages;  ///< What it received.
  std::vector<std::string> ends;      ///< Of connections.

  /// A client that goes on sending after a refusal may never see it: the reset takes it away.
  [[nodiscard]] bool has_same_request(const Seen& other) const {
    const bool is_lost = response.empty() || other.response.empty();
    return requests == other.requests && (is_lost || response == other.response);
  }
  [[nodiscard]] bool is_same(const Seen& other) const {
    return has_same_request(other) && messages == other.messages && ends == other.ends;
  }
};

/// Plays it, and expects that nothing is left afterwards.
Seen converse(std::string_view bytes, Cuts cuts, const Manners& manners);

}  // namespace roost::fuzz
