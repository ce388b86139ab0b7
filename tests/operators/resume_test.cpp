// SPDX-License-Identifier: MIT
// Many clients on a bad network: their connections are cut at any byte, and they come back to any
// replica while others talk. Each keeps a ledger.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <roost/backplane/local_backplane.hpp>
#include <roost/beast.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "support/ledger.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using namespace test;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

const std::vector<std::string> rooms{"lobby", "a room, 50% {full}:ü"};

/// A manager with a listener, whose clients resume.
class ResumeServer {
 public:
  ResumeServer(boost::asio::io_context& context, const LocalHub& hub)
      : context_(context),
        manager(context.get_executor()),
        backplane_(context.get_executor(), hub) {
    testing::run(context, backplane_.start());
    context.restart();
  }
  void close() {
    listener.stop();
    boost::asio::co_spawn(context_, manager.close_all(),
                          [this](std::exception_ptr, std::size_t) { is_closed = true; });
  }

 private:
  awaitable<> serve(Upgrade upgrade) {
    const std::string resume = upgrade.query("resume").value_or("");
    auto socket = co_await upgrade.accept();
    const auto body = [this](Manager::ConnectionPtr self) -> awaitable<> {
      while (co_await manager.next_text(*self)) {
      }
    };
    const ConnectOptions options{.rooms = rooms, .resume = resume};
    co_await manager.session(std::move(socket), options, body);
  }

  boost::asio::io_context& context_;

 public:
  Manager manager;

 private:
  LocalBackplane backplane_;

 public:
  Cluster cluster = bind_manager(backplane_, manager);
  Listener listener = listen(manager, {boost::asio::ip::address_v4::loopback(), 0}, {},
                             [this](Upgrade upgrade) { return serve(std::move(upgrade)); });
  bool is_closed = false;
};

/// A client that is cut again and again.
class CutClient {
 public:
  void connect(boost::asio::io_context& context, const ResumeServer& to) {
    const std::string resume = detail::encode_room(ledger.token());
    raw_.emplace(context, to.listener.local_endpoint());
    raw_->send(upgrade_request("/?resume=" + resume));
    fed_ = 0;
  }
  /// Goes after so many more bytes, in the middle of a frame or not.
  void cut_after(std::size_t bytes) {
    cut_at_ = raw_->bytes_read() + bytes;
    raw_->read_more(bytes);
  }
  /// @returns whether it has to connect anew
  bool turn() {
    if (!raw_) return true;
    const std::vector<ServerFrame>& frames = raw_->frames();
    for (; fed_ < frames.size(); ++fed_) {
      if (frames[fed_].opcode == Opcode::text) ledger.feed(frames[fed_].payload);
    }
    if (!raw_->parser().error().empty()) FAIL(raw_->parser().error());
    const bool is_cut = cut_at_ && raw_->bytes_read() >= *cut_at_;
    if (!is_cut && !raw_->is_gone()) return false;
    raw_->vanish();
    raw_.reset();
    cut_at_.reset();
    return true;
  }
  bool has(const std::vector<std::string>& last) {
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      if (ledger.room(rooms[i]).position != last[i]) return false;
    }
    return true;
  }
  void leave() { raw_.reset(); }

  Ledger ledger;

 private:
  std::optional<RawClient> raw_;
  std::size_t fed_ = 0;
  std::optional<std::size_t> cut_at_;
};

std::uint64_t number_of(const std::string& position) {
  return position.empty() ? 0 : std::stoull(position.substr(position.find('.') + 1));
}

/// Says something in one of the rooms, again and again.
awaitable<> publish(const Cluster& cluster, std::vector<std::string>& last, std::uint32_t seed,
                    int& left) {
  std::mt19937 random(seed);
  for (; left > 0; --left) {
    const std::size_t room = random() % rooms.size();
    const std::string text(1 + random() % 900, 'x');
    const BroadcastOptions options{.room = rooms[room]};
    const Published published = co_await cluster.broadcast_text(text, options);
    const std::string& at = published.at.value();
    if (number_of(at) > number_of(last[room])) last[room] = at;
    for (int turns = 0; turns < 20; ++turns) co_await boost::asio::post(boost::asio::use_awaitable);
  }
}

}  // namespace

TEST_CASE(
    "200 clients that are cut at any byte lose nothing, whichever replica they come back to") {
  const std::uint32_t seed = GENERATE(1U, 2U);
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto one_of = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  boost::asio::io_context context;
  const LocalHub hub(
      HistoryOptions{.rules = {{.rooms = "*", .max_messages = 10'000, .max_bytes = 8'388'608}}});
  std::vector<std::unique_ptr<ResumeServer>> replicas;
  for (int i = 0; i < 3; ++i) replicas.push_back(std::make_unique<ResumeServer>(context, hub));
  std::vector<CutClient> clients(200);
  for (CutClient& client : clients) client.connect(context, *replicas[one_of(3)]);

  std::vector<std::string> last(rooms.size());
  std::vector<int> left(4, 40);
  for (std::uint32_t i = 0; i < 4; ++i) {
    boost::asio::co_spawn(context, publish(replicas[i % 3]->cluster, last, seed + i, left[i]),
                          [](std::exception_ptr error) { CHECK_FALSE(error); });
  }
  std::size_t cuts = 0;
  testing::run_until(
      context,
      [&] {
        for (int turns = 0; turns < 50 && context.poll_one() > 0; ++turns) continue;
        bool is_talking = false;
        for (const int each : left) is_talking = is_talking || each > 0;
        bool have_all = !is_talking;
        for (CutClient& client : clients) {
          if (client.turn()) {
            client.connect(context, *replicas[one_of(3)]);
            ++cuts;
            if (is_talking) client.cut_after(1 + one_of(20'000));
          } else if (is_talking && one_of(20) == 0) {
            client.cut_after(1 + one_of(2'000));
          }
          have_all = have_all && client.has(last);
        }
        return have_all;
      },
      120s);
  std::size_t recovered = 0;
  for (CutClient& client : clients) {
    CHECK(client.ledger.problems() == std::vector<std::string>());
    for (const std::string& room : rooms) {
      CHECK(client.ledger.room(room).losses.empty());
      recovered += client.ledger.room(room).recovered;
    }
    client.leave();
  }
  CHECK(cuts > 200);
  CHECK(recovered > 200);
  for (auto& replica : replicas) replica->close();
  testing::run_until(context, [&] {
    return replicas[0]->is_closed && replicas[1]->is_closed && replicas[2]->is_closed;
  });
}

}  // namespace roost
