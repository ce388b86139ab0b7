// SPDX-License-Identifier: MIT
#include <algorithm>
#include <memory>
#include <new>
#include <roost/manager/connection_manager.hpp>
#include <roost/manager/registry/registry.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using PlainRegistry = detail::Registry<test::PlainSocket>;
using Registered = Connection<test::PlainSocket>;
using RegisteredPtr = std::shared_ptr<Registered>;
using NameList = std::vector<std::string>;

/// A connection of no manager: a registry needs none.
RegisteredPtr registered(std::string id) {
  return detail::ConnectionAccess::make<test::PlainSocket>(
      std::weak_ptr<detail::ManagerState<test::PlainSocket>>(), std::move(id), nlohmann::json(),
      Clock::time_point(), Overflow::close);
}

NameList ids_of(const std::vector<RegisteredPtr>& peers) {
  NameList ids;
  for (const RegisteredPtr& peer : peers) ids.push_back(peer->id());
  std::sort(ids.begin(), ids.end());
  return ids;
}

struct RegistryWitness final : detail::RegistryObserver<test::PlainSocket> {
  NameList told;
  bool refuses = false;

  void on_registered(Registered& peer) override {
    told.push_back("+" + peer.id());
    if (refuses) throw std::bad_alloc();
  }
  void on_unregistered(Registered& peer) noexcept override { told.push_back("-" + peer.id()); }
};

TEST_CASE("a registry finds connections by their id, in all and in their rooms", "[registry]") {
  PlainRegistry registry;
  const RegisteredPtr a = registered("a");
  registry.add(a, NameList{"red", "blue"});
  registry.add(registered("b"), NameList{"red"});
  CHECK(registry.find("a") == a);
  CHECK(registry.find("c") == nullptr);
  CHECK(ids_of(registry.all()) == NameList{"a", "b"});
  CHECK(ids_of(registry.members("red")) == NameList{"a", "b"});
  CHECK(ids_of(registry.members("blue")) == NameList{"a"});
  CHECK(registry.members("green").empty());
}

TEST_CASE("a connection that is removed is nowhere any more, the others stay", "[registry]") {
  PlainRegistry registry;
  std::vector<RegisteredPtr> peers;
  for (const char* id : {"a", "b", "c", "d"}) {
    peers.push_back(registered(id));
    registry.add(peers.back(), NameList{"red"});
  }
  const auto removed = GENERATE(0U, 1U, 3U);
  registry.remove(*peers[removed]);
  CHECK(registry.find(peers[removed]->id()) == nullptr);
  CHECK(registry.everyone().size() == 3);
  CHECK(ids_of(registry.members("red")) == ids_of(registry.all()));
  for (const RegisteredPtr& peer : registry.all()) registry.remove(*peer);
  CHECK(registry.everyone().empty());
  CHECK(registry.rooms().size() == 0);
}

TEST_CASE("an observer is told of connections that come and go", "[registry]") {
  PlainRegistry registry;
  registry.add(registered("before"), {});
  RegistryWitness witness;
  registry.observe(witness);
  const RegisteredPtr a = registered("a");
  registry.add(a, {});
  registry.remove(*a);
  registry.unobserve(witness);
  registry.add(registered("after"), {});
  CHECK(witness.told == NameList{"+a", "-a"});
}

TEST_CASE("a connection that an observer has no memory for is not added", "[registry]") {
  PlainRegistry registry;
  RegistryWitness first;
  RegistryWitness second;
  second.refuses = true;
  registry.observe(first);
  registry.observe(second);
  CHECK_THROWS_AS(registry.add(registered("a"), NameList{"red"}), std::bad_alloc);
  CHECK(first.told == NameList{"+a", "-a"});
  CHECK(registry.find("a") == nullptr);
  CHECK(registry.everyone().empty());
  CHECK(registry.rooms().size() == 0);
}

TEST_CASE("each walk over a registry has a number of its own", "[registry]") {
  PlainRegistry registry;
  const RegisteredPtr a = registered("a");
  auto& parts = detail::parts_of(*a);
  const auto number = registry.next_walk();
  CHECK(parts.meet(number));
  CHECK_FALSE(parts.meet(number));
  CHECK(parts.meet(registry.next_walk()));
}

}  // namespace
}  // namespace roost
