// SPDX-License-Identifier: MIT
// What every backplane promises, of the one over Redis.
#include "redis/redis_world.hpp"

#define ROOST_TEST_WORLD test::RedisWorld
#include "support/backplane_contract.hpp"
