// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "beast/support/server.hpp"

namespace roost::test {

/// A client that behaves is served as if nothing had happened: let in, answered, and reached by a
/// broadcast.
/// @param headers  of its request
inline void check_serves(Server& server, const std::string& headers = {}) {
  RawClient client = server.request("/?id=guest&room=served", headers);
  server.until([&] { return client.is_upgraded(); });
  client.send(text_frame("still here?"));
  server.until([&] { return client.count(Opcode::text) == 1; });
  CHECK(server.run(server.manager.broadcast_text("news", {.room = "served"})) == 1);
  server.until([&] { return client.count(Opcode::text) == 2; });
  CHECK((client.texts() == std::vector<std::string>{"still here?", "news"}));
  client.send(close_frame(1000));
  server.until([&] { return client.is_gone() && server.manager.find("guest") == nullptr; });
}

}  // namespace roost::test
