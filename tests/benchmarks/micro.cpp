// SPDX-License-Identifier: MIT
// What single calls cost, with sockets that take every frame and do nothing. `allocs/call` must not
// depend on the number of recipients: nothing is allocated for one of them.
#include <benchmark/benchmark.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <roost/roost.hpp>
#include <roost/testing/run.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {
std::uint64_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using benchmark::State;

/// Takes frames, as `BeastWebSocket` does, and is always empty.
struct Sink {
  bool try_send(const roost::Frame& frame) {
    bytes += frame.size();
    return true;
  }
  awaitable<void> send_text(std::string_view) { co_return; }
  awaitable<void> send_bytes(std::span<const std::byte>) { co_return; }
  awaitable<void> close(std::uint16_t) { co_return; }
  void abort() noexcept {}
  void observe(roost::OutboxWatch) noexcept {}
  [[nodiscard]] std::size_t queued_bytes() const noexcept { return 0; }
  [[nodiscard]] std::optional<roost::Clock::time_point> oldest_queued() const { return {}; }

  std::size_t bytes = 0;
};
static_assert(roost::HasOutbox<Sink>);

using Manager = roost::ConnectionManager<Sink>;

struct Fixture {
  // As a default member initialiser, these options crash g++ 12.
  explicit Fixture(std::size_t connections)
      : manager(context.get_executor(), {.max_connections = std::nullopt}) {
    roost::testing::run(context, connect(connections));
  }

  awaitable<void> connect(std::size_t connections) {
    for (std::size_t i = 0; i < connections; ++i) {
      const std::string id = std::to_string(i);
      co_await manager.connect(std::make_shared<Sink>(), {.connection_id = id, .rooms = "room"});
    }
  }

  asio::io_context context{1};
  Manager manager;
};

/// Counts the allocations of the scope that it is in.
class Allocations {
 public:
  Allocations(State& state, std::size_t recipients) : state_(state), recipients_(recipients) {}
  ~Allocations() {
    const auto calls = static_cast<double>(state_.iterations());
    state_.counters["allocs/call"] = static_cast<double>(allocations - before_) / calls;
    if (recipients_ == 0) return;
    const auto recipients = static_cast<double>(recipients_);
    // Shown in seconds per recipient.
    state_.counters["recipient"] = benchmark::Counter(
        calls * recipients, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  }

 private:
  State& state_;
  std::size_t recipients_;
  std::uint64_t before_ = allocations;
};

// The loops are inside of the coroutines: what is measured begins no coroutine of its own.

awaitable<void> broadcast(State& state, Manager& manager, bool excludes) {
  const std::string text(64, 'x');
  const Allocations allocs(state, manager.total_connections() - (excludes ? 1 : 0));
  for (auto _ : state) {
    if (excludes) {
      co_await manager.broadcast_text(text, {.room = "room", .exclude = "0"});
    } else {
      co_await manager.broadcast_text(text, {.room = "room"});
    }
  }
}
void BM_broadcast(State& state) {
  Fixture fixture(static_cast<std::size_t>(state.range(0)));
  roost::testing::run(fixture.context, broadcast(state, fixture.manager, false));
}
void BM_broadcast_exclude(State& state) {
  Fixture fixture(static_cast<std::size_t>(state.range(0)));
  roost::testing::run(fixture.context, broadcast(state, fixture.manager, true));
}

awaitable<void> join_and_leave(State& state, Manager& manager) {
  const auto connection = manager.find("0");
  const Allocations allocs(state, 0);
  for (auto _ : state) {
    co_await manager.join(*connection, "another");
    co_await manager.leave("0", "another");
  }
}
void BM_join_leave(State& state) {
  Fixture fixture(static_cast<std::size_t>(state.range(0)));
  roost::testing::run(fixture.context, join_and_leave(state, fixture.manager));
}

awaitable<void> connect_and_disconnect(State& state, Manager& manager) {
  const Allocations allocs(state, 0);
  for (auto _ : state) {
    const auto connection = co_await manager.connect(std::make_shared<Sink>(), {.rooms = "room"});
    co_await manager.disconnect(connection->id());
  }
}
void BM_connect_disconnect(State& state) {
  Fixture fixture(static_cast<std::size_t>(state.range(0)));
  roost::testing::run(fixture.context, connect_and_disconnect(state, fixture.manager));
}

void bytes_per_second(State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
std::string text_of(std::string_view piece, std::int64_t bytes) {
  std::string text;
  while (text.size() + piece.size() <= static_cast<std::size_t>(bytes)) text.append(piece);
  return text.append(static_cast<std::size_t>(bytes) - text.size(), '.');
}

void check_utf8(State& state, std::string_view piece) {
  const std::string text = text_of(piece, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(roost::detail::is_utf8(text));
  bytes_per_second(state);
}
void BM_utf8_ascii(State& state) { check_utf8(state, "roost"); }
void BM_utf8_mixed(State& state) { check_utf8(state, "Gr\u00fc\u00dfe \u20ac \U0001F426 "); }

void BM_encode_frame(State& state) {
  const std::string text = text_of("roost", state.range(0));
  const Allocations allocs(state, 0);
  for (auto _ : state) benchmark::DoNotOptimize(roost::Frame::text(text));
  bytes_per_second(state);
}

BENCHMARK(BM_broadcast)->Arg(10)->Arg(1'000)->Arg(100'000);
BENCHMARK(BM_broadcast_exclude)->Arg(10)->Arg(1'000)->Arg(100'000);
BENCHMARK(BM_join_leave)->Arg(10)->Arg(100'000);
BENCHMARK(BM_connect_disconnect)->Arg(10)->Arg(100'000);
BENCHMARK(BM_utf8_ascii)->Arg(64)->Arg(512)->Arg(16'384);
BENCHMARK(BM_utf8_mixed)->Arg(64)->Arg(512)->Arg(16'384);
BENCHMARK(BM_encode_frame)->Arg(64)->Arg(512)->Arg(16'384);

}  // namespace

BENCHMARK_MAIN();
