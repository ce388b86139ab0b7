// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/manager/registry/connection_parts.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF std::unique_ptr<ConnectionUser> make_user(const ConnectOptions& options,
                                                              const std::string& id) {
  if (!options.user && !options.user_info.get()) return nullptr;
  constexpr std::size_t max_info_bytes = 1024;
  auto user = std::make_unique<ConnectionUser>();
  user->name = options.user ? std::string(*options.user) : id;
  validate_user(user->name);
  if (options.user_info.get()) user->info = dump_json(*options.user_info.get());
  if (user->info.size() > max_info_bytes) {
    throw Error(errc::invalid_user, "user_info of \"" + escape_for_log(user->name) + "\" has " +
                                        std::to_string(user->info.size()) + " bytes, " +
                                        std::to_string(max_info_bytes) + " are allowed");
  }
  return user;
}

}  // namespace roost::detail
