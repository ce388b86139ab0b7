// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include "roost/base/names.hpp"
#include "roost/base/short_list.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/connection_parts.hpp"

namespace roost::detail {

/// `ConnectOptions` that owns its values.
struct AdmissionRequest {
  std::string id;
  nlohmann::json metadata;  ///< Discarded: an empty object, see `Connection`.
  ShortList<std::string> rooms;
  OnDuplicate on_duplicate;
  Overflow overflow;
  std::optional<std::string> resume = {};  ///< Set: the client wants positions.
  std::size_t last = 0;
  std::unique_ptr<ConnectionUser> user = {};  ///< Null: the id is the user.
};

/// Checks the arguments of a call before anything is awaited.
inline AdmissionRequest admission_request(const ConnectOptions& options,
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
