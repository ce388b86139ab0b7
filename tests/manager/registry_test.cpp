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

using Registry = detail::Registry<test::PlainSocket>;
using Peer = Connection<test::PlainSocket>;
using PeerPtr = std::shared_ptr<Peer>;
using Names = std::vector<std::string>;

/// A connection of no manager: a registry needs none.
PeerPtr peer(std::string id) {
  return detail::ConnectionAccess::make<test::PlainSocket>(
      std::weak_ptr<detail::ManagerState<test::PlainSocket>>(), std::move(id), nlohmann::json(),
      Clock::time_point(), Overflow::close);
}

Names ids(const std::vector<PeerPtr>& peers) {
  Names ids;
  for (const PeerPtr& peer : peers) ids.push_back(peer->id());
  std::sort(ids.begin(), ids.end());
  return ids;
}

struct Witness final : detail::RegistryObserver<test::PlainSocket> {
  Names told;
  bool refuses = false;

  void on_registered(Peer& peer) override {
    told.push_back("+" + peer.id());
    if (refuses) throw std::bad_alloc();
  }
  void on_unregistered(Peer& peer) noexcept override { told.push_back("-" + peer.id()); }
};

TEST_CASE("a registry finds connections by their id, in all and in their rooms", "[registry]") {
  Registry registry;
  const PeerPtr a = peer("a");
  registry.add(a, {"red", "blue"});
  registry.add(peer("b"), {"red"});
  CHECK(registry.find("a") == a);
  CHECK(registry.find("c") == nullptr);
  CHECK(ids(registry.all()) == Names{"a", "b"});
  CHECK(ids(registry.members("red")) == Names{"a", "b"});
  CHECK(ids(registry.members("blue")) == Names{"a"});
  CHECK(registry.members("green").empty());
}

TEST_CASE("a connection that is removed is nowhere any more, the others stay", "[registry]") {
  Registry registry;
  std::vector<PeerPtr> peers;
  for (const char* id : {"a", "b", "c", "d"}) {
    peers.push_back(peer(id));
    registry.add(peers.back(), {"red"});
  }
  const auto removed = GENERATE(0U, 1U, 3U);
  registry.remove(*peers[removed]);
  CHECK(registry.find(peers[removed]->id()) == nullptr);
  CHECK(registry.everyone().size() == 3);
  CHECK(ids(registry.members("red")) == ids(registry.all()));
  for (const PeerPtr& peer : registry.all()) registry.remove(*peer);
  CHECK(registry.everyone().empty());
  CHECK(registry.rooms().size() == 0);
}

TEST_CASE("an observer is told of connections that come and go", "[registry]") {
  Registry registry;
  registry.add(peer("before"), {});
  Witness witness;
  registry.observe(witness);
  const PeerPtr a = peer("a");
  registry.add(a, {});
  registry.remove(*a);
  registry.unobserve(witness);
  registry.add(peer("after"), {});
  CHECK(witness.told == Names{"+a", "-a"});
}

TEST_CASE("a connection that an observer has no memory for is not added", "[registry]") {
  Registry registry;
  Witness first;
  Witness second;
  second.refuses = true;
  registry.observe(first);
  registry.observe(second);
  CHECK_THROWS_AS(registry.add(peer("a"), {"red"}), std::bad_alloc);
  CHECK(first.told == Names{"+a", "-a"});
  CHECK(registry.find("a") == nullptr);
  CHECK(registry.everyone().empty());
  CHECK(registry.rooms().size() == 0);
}

TEST_CASE("each walk over a registry has a number of its own", "[registry]") {
  Registry registry;
  const PeerPtr a = peer("a");
  auto& parts = detail::parts_of(*a);
  const auto number = registry.next_walk();
  CHECK(parts.meet(number));
  CHECK_FALSE(parts.meet(number));
  CHECK(parts.meet(registry.next_walk()));
}

}  // namespace
}  // namespace roost
