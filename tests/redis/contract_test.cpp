// SPDX-License-Identifier: MIT
// What every backplane promises, of the one over Redis.
#include <memory>

#include "redis/redis_world.hpp"

namespace roost::test {

struct RedisRoomsWorld : RedisWorld {
  std::unique_ptr<RedisBackplane> make(const Config& config = {}) {
    return RedisWorld::make(RedisOptions{.channel = prefix + config.channel,
                                         .routing = Routing::per_room,
                                         .max_message_bytes = config.max_message_bytes});
  }
};

}  // namespace roost::test

#define ROOST_TEST_WORLD test::RedisWorld, test::RedisRoomsWorld
#include "support/backplane_contract.hpp"
