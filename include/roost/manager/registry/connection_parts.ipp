// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/text/json.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/registry/connection_parts.hpp"

namespace roost::detail {

/// @returns null if the options say nothing about the user: the connection's id is its user
ROOST_WHEN_USED std::unique_ptr<ConnectionUser> make_user(const ConnectOptions& options,
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

ROOST_WHEN_USED_DEF AdmissionRequest admission_request(const ConnectOptions& options,
                                                       std::size_t max_room_name_bytes) {
  AdmissionRequest request{
      .id = options.connection_id ? std::string(*options.connection_id) : random_id(),
      .metadata = nlohmann::json::value_t::discarded,
      .rooms = {},
      .on_duplicate = options.on_duplicate,
      .overflow = options.overflow,
      .last = options.last};
  if (options.resume) request.resume.emplace(*options.resume);
  if (options.connection_id) validate_connection_id(request.id);
  request.user = make_user(options, request.id);
  if (options.metadata.get()) request.metadata = *options.metadata.get();
  for (const std::string_view room : options.rooms) {
    validate_room_name(room, max_room_name_bytes);
    if (std::find(request.rooms.begin(), request.rooms.end(), room) == request.rooms.end()) {
      request.rooms.push_back(std::string(room));
    }
  }
  return request;
}

}  // namespace roost::detail
