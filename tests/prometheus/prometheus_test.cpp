#include <prometheus/text_serializer.h>

#include <array>
#include <bit>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <cstdint>
#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <roost/backplane/local_presence.hpp>
#include <roost/prometheus.hpp>
#include <roost/testing.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "catch.hpp"

using namespace roost;
using namespace std::chrono_literals;
using testing::FakeWebSocket, testing::ManualClock, testing::run, testing::run_ready;
using Manager = ConnectionManager<FakeWebSocket>;

namespace {

// The lines of a scrape, as Prometheus reads them.
std::set<std::string> lines_of(const std::vector<prometheus::MetricFamily>& families) {
  std::istringstream text(prometheus::TextSerializer().Serialize(families));
  std::set<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.insert(line);
  return lines;
}

// A scrape by the thread that runs the context.
std::set<std::string> scrape(boost::asio::io_context& context, const Metrics& metrics) {
  std::set<std::string> lines;
  boost::asio::post(context, [&] { lines = lines_of(metrics.Collect()); });
  run_ready(context);
  return lines;
}

bool has(const std::set<std::string>& lines, const std::string& line) {
  INFO("wanted " << line);
  for (const std::string& l : lines) UNSCOPED_INFO(l);
  const bool found = lines.count(line) == 1;
  CHECK(found);
  return found;
}

std::shared_ptr<FakeWebSocket> join(boost::asio::io_context& context, Manager& manager,
                                    std::string_view id, std::string_view room = "lobby") {
  auto socket = std::make_shared<FakeWebSocket>();
  run(context, manager.connect(socket, {.connection_id = id, .rooms = room}));
  return socket;
}

}  // namespace

TEST_CASE("the counters of a manager are published by Prometheus's conventions") {
  boost::asio::io_context context;
  Manager manager(context.get_executor(), {.max_connections = 2});
  Metrics metrics;
  metrics.add(manager);

  join(context, manager, "alice");
  join(context, manager, "bob", "elsewhere");
  CHECK_THROWS_AS(join(context, manager, "carol"), Error);
  run(context, manager.broadcast_text("hello"));
  run(context, manager.disconnect("bob"));

  const auto lines = scrape(context, metrics);
  has(lines, "# TYPE roost_connections gauge");
  has(lines, "# TYPE roost_messages_sent_total counter");
  has(lines, "# HELP roost_rooms Rooms with a member.");
  has(lines, "roost_scrape_success{part=\"manager\"} 1");
  has(lines, "roost_connections 1");
  has(lines, "roost_rooms 1");
  has(lines, "roost_queued_bytes 0");
  has(lines, "roost_blocked_connections 0");
  has(lines, "roost_connections_accepted_total 2");
  has(lines, "roost_connections_refused_total 1");
  has(lines, "roost_broadcasts_total 1");
  has(lines, "roost_messages_sent_total 2");
  has(lines, "roost_connections_ended_total{reason=\"disconnected\"} 1");
  has(lines, "roost_connections_ended_total{reason=\"peer_closed\"} 0");
}

TEST_CASE("names follow Prometheus's conventions") {
  const auto follow = [](const auto& table) {
    for (const auto& metric : table) {
      const std::string name = metric.name;
      INFO(name);
      CHECK(name.starts_with("roost_"));
      CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == name.npos);
      CHECK(name.ends_with("_total") == (metric.type == prometheus::MetricType::Counter));
      CHECK(std::string(metric.help).ends_with('.'));
    }
  };
  follow(detail::manager_metrics);
  follow(detail::heartbeat_metrics);
  follow(detail::local_backplane_metrics);
  follow(detail::local_hub_metrics);
  follow(detail::redis_metrics);
}

TEST_CASE("every number that is counted is published") {
  const auto check = [](auto stats, const auto& table) {
    std::array<std::uint64_t, sizeof(stats) / sizeof(std::uint64_t)> numbers;
    std::iota(numbers.begin(), numbers.end(), std::uint64_t{1});
    stats = std::bit_cast<decltype(stats)>(numbers);
    std::multiset<double> published;
    for (const auto& metric : table) published.insert(metric.value(stats));
    if constexpr (std::is_same_v<decltype(stats), Stats>) {  // by reason, one by one
      for (const std::uint64_t number : stats.ended) published.insert(static_cast<double>(number));
    }
    CHECK((published == std::multiset<double>(numbers.begin(), numbers.end())));
  };
  check(Stats(), detail::manager_metrics);
  check(LocalBackplaneStats(), detail::local_backplane_metrics);
  check(LocalHubStats(), detail::local_hub_metrics);
  check(RedisStats(), detail::redis_metrics);
}

TEST_CASE("the heartbeat counts its pings and how late the loop was") {
  ManualClock clock;
  boost::asio::io_context context;
  Manager manager(context.get_executor(), {.clock = &clock});
  HeartbeatMonitor<FakeWebSocket> monitor(manager, {.interval = 10s, .timeout = 30s});
  monitor.start();
  Metrics metrics;
  metrics.add(monitor);
  const auto alice = join(context, manager, "alice");
  run(context, monitor.tick());
  run_ready(context);
  clock.advance(1h);  // at once: the loop was busy
  run_ready(context);

  const auto lines = scrape(context, metrics);
  has(lines, "roost_heartbeat_connections 1");
  has(lines, "roost_scrape_success{part=\"heartbeat\"} 1");
  CHECK(monitor.stats().pings >= 1);
  has(lines, "roost_heartbeat_pings_total " + std::to_string(monitor.stats().pings));
  CHECK(monitor.stats().late > 59min);
  CHECK(monitor.stats().late <= 1h);
  CHECK(lines.count("roost_heartbeat_late_seconds_total 0") == 0);
}

TEST_CASE("the counters of several managers are told apart by labels, in one family each") {
  boost::asio::io_context context;
  Manager first(context.get_executor()), second(context.get_executor());
  Metrics metrics;
  metrics.add(first, {{"shard", "0"}});
  metrics.add(second, {{"shard", "1"}});
  join(context, second, "alice");

  const auto lines = scrape(context, metrics);
  has(lines, "roost_connections{shard=\"0\"} 0");
  has(lines, "roost_connections{shard=\"1\"} 1");
  std::vector<prometheus::MetricFamily> families;
  boost::asio::post(context, [&] { families = metrics.Collect(); });
  run_ready(context);
  std::set<std::string> names;
  for (const auto& family : families) CHECK(names.insert(family.name).second);
}

TEST_CASE("two managers that no label tells apart are refused") {
  boost::asio::io_context context;
  const Manager first(context.get_executor()), second(context.get_executor());
  Metrics metrics;
  metrics.add(first);
  metrics.add(first, {{"shard", "0"}});
  std::string why;
  try {
    metrics.add(second, {{"shard", "0"}});
  } catch (const Error& error) {
    CHECK(error.code() == errc::invalid_option);
    why = error.what();
  }
  CHECK(why.find("the labels part=manager shard=0 belong to another source") != why.npos);
  has(scrape(context, metrics), "roost_connections{shard=\"0\"} 0");
}

TEST_CASE("a service brings its manager and its heartbeat, a backplane comes beside it") {
  boost::asio::io_context context;
  LocalBackplane backplane(context.get_executor());
  auto& service = init_websockets<FakeWebSocket>(context, {}, {.backplane = backplane});
  Metrics metrics;
  metrics.add(service);
  metrics.add(backplane);
  run(context, service.cluster().broadcast_text("hello", {.room = "lobby"}));
  run_ready(context);

  const auto lines = scrape(context, metrics);
  has(lines, "roost_connections 0");
  has(lines, "roost_heartbeat_pings_total 0");
  has(lines, "roost_backplane_messages_published_total 1");
  has(lines, "roost_backplane_messages_received_total 1");
  has(lines, "roost_backplane_messages_dropped_total 0");
  has(lines, "roost_backplane_handler_failures_total 0");
  has(lines, "roost_backplane_replicas 1");
  has(lines, "roost_backplane_asks_total 0");
  has(lines, "roost_backplane_answers_missing_total 0");
  has(lines, "roost_presence_rooms 0");
  has(lines, "roost_presence_changes_total 0");
}

TEST_CASE("a backplane with presence tells of its rooms, their users and the changes") {
  ManualClock clock;
  boost::asio::io_context context;
  LocalBackplaneOptions options{.clock = &clock};
  options.presence = local_presence({.rules = {{.rooms = "chat", .tell_interval = 0s}}});
  LocalBackplane backplane(context.get_executor(), LocalHub(), options);
  auto& service =
      init_websockets<FakeWebSocket>(context, {.clock = &clock}, {.backplane = backplane});
  Metrics metrics;
  metrics.add(backplane);
  run_ready(context);
  join(context, service.manager(), "alice", "chat");
  join(context, service.manager(), "bob", "chat");
  join(context, service.manager(), "carol", "without presence");
  run_ready(context);

  const auto lines = scrape(context, metrics);
  has(lines, "roost_presence_rooms 1");
  has(lines, "roost_presence_users 2");
  has(lines, "roost_presence_changes_total 2");
  has(lines, "roost_presence_reads_total 1");
}

TEST_CASE("a hub tells what its histories keep, and a manager who got back what it missed") {
  boost::asio::io_context context;
  const LocalHub hub({.rules = {{.rooms = "*", .max_messages = 2}}});
  LocalBackplane backplane(context.get_executor(), hub);
  auto& service = init_websockets<FakeWebSocket>(context, {}, {.backplane = backplane});
  Metrics metrics;
  metrics.add(service);
  metrics.add(hub);
  run_ready(context);
  std::vector<std::string> positions;
  for (const char* text : {"one", "two", "three"}) {
    const Published published =
        run(context, service.cluster().broadcast_text(text, {.room = "lobby"}));
    positions.push_back("lobby:" + published.at.value());
  }
  const auto come_back = [&](const std::string& position) {
    auto socket = std::make_shared<FakeWebSocket>();
    run(context, service.manager().connect(socket, {.rooms = "lobby", .resume = position}));
  };
  come_back(positions[0]);
  come_back("lobby:nonsense");

  const auto lines = scrape(context, metrics);
  has(lines, "roost_scrape_success{part=\"hub\"} 1");
  has(lines, "roost_history_rooms 1");
  has(lines, "roost_history_messages 2");
  has(lines, "roost_history_bytes " + std::to_string(hub.stats().bytes));
  has(lines, "roost_history_messages_recorded_total 3");
  has(lines, "roost_rooms_recovered_total 1");
  has(lines, "roost_rooms_not_recovered_total 1");
  has(lines, "roost_messages_replayed_total 2");
}

TEST_CASE("another thread is answered by the one that runs the manager") {
  boost::asio::io_context context;
  Manager manager(boost::asio::make_strand(context));
  Metrics metrics({.timeout = 1min});
  metrics.add(manager);
  auto work = boost::asio::make_work_guard(context);
  std::thread runs([&] { context.run(); });
  const auto lines = lines_of(metrics.Collect());
  work.reset();
  runs.join();
  has(lines, "roost_connections 0");
}

TEST_CASE("a thread that does not answer in time is reported, and nothing stale instead") {
  boost::asio::io_context context;  // nobody runs it
  Manager manager(context.get_executor());
  Metrics metrics({.timeout = 1ms});
  metrics.add(manager);
  const auto lines = lines_of(metrics.Collect());
  has(lines, "roost_scrape_success{part=\"manager\"} 0");
  CHECK(lines.count("roost_connections 0") == 0);
  run_ready(context);  // the late answer harms nobody
}

TEST_CASE("metrics may outlive what they are of") {
  auto context = std::make_unique<boost::asio::io_context>();
  auto manager = std::make_unique<Manager>(context->get_executor());
  auto monitor = std::make_unique<HeartbeatMonitor<FakeWebSocket>>(*manager);
  auto backplane = std::make_shared<LocalBackplane>(context->get_executor());
  Metrics metrics({.timeout = 1min});
  metrics.add(*manager);
  metrics.add(*monitor);
  metrics.add(backplane);
  const auto check = [](const std::set<std::string>& lines) {
    for (const std::string part : {"manager", "heartbeat", "backplane"}) {
      has(lines, "roost_scrape_success{part=\"" + part + "\"} 0");
    }
    CHECK(lines.count("roost_connections 0") == 0);
  };
  monitor.reset();
  manager.reset();
  backplane.reset();
  check(scrape(*context, metrics));
  context.reset();
  check(lines_of(metrics.Collect()));  // at once, not after a minute
}

TEST_CASE("a timeout that makes no sense is named") {
  for (const auto timeout : {Clock::duration(0s), Clock::duration(2min)}) {
    std::string why;
    try {
      const Metrics metrics({.timeout = timeout});
    } catch (const Error& error) {
      why = error.what();
    }
    CHECK(why.find("timeout must be 1 ms to 1 min") != why.npos);
  }
}
