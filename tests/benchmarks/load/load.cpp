// SPDX-License-Identifier: MIT
// The load: thousands of clients on one core, with nothing but epoll, so that it has time left when
// a server has none. Verifies all that it receives.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "load/closed_loop.hpp"
#include "load/deflate.hpp"
#include "load/histogram.hpp"
#include "load/options.hpp"
#include "load/process.hpp"
#include "load/socket.hpp"
#include "load/wire.hpp"

namespace load {

using Nanoseconds = ClosedLoop::Nanoseconds;

Nanoseconds now() noexcept {
  return static_cast<Nanoseconds>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}
double seconds(Nanoseconds t) noexcept { return static_cast<double>(t) / 1e9; }
Nanoseconds nanoseconds(double s) noexcept { return static_cast<Nanoseconds>(s * 1e9); }

struct Client {
  enum class State { connecting, upgrading, open };

  Client(std::uint16_t port, SSL_CTX* tls, std::size_t in_room, std::size_t as_member)
      : socket(port, tls), room(in_room), member(as_member) {}

  Socket socket;
  std::size_t room;
  std::size_t member;
  State state = State::connecting;
  bool waits_to_write = true;
  std::string in;   // the beginning of a frame
  std::string out;  // what the socket has not taken
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        tls_(options.tls ? make_tls() : nullptr),
        loop_(options.rooms, options.in_flight,
              options.deflate ? varied_json(options.bytes)
                              : std::vector<std::string>{std::string(options.bytes, '.')}) {
    clients_.reserve(options.connections);
  }

  void run() {
    if (options_.pid != 0) server_.emplace(options_.pid);
    const std::int64_t memory_before = server_ ? server_->memory() : 0;
    const double setup = connect_all();
    settle();
    const std::int64_t memory = server_ ? server_->memory() - memory_before : 0;
    if (options_.in_flight > 0) start();
    run_for(options_.warmup);
    latency_.clear();
    deliveries_ = messages_ = pings_ = 0;
    const Usage server_before = usage(server_);
    const Usage own_before = self_.usage();
    const double took = run_for(options_.seconds);
    const Usage server = usage(server_) - server_before;
    const Usage own = self_.usage() - own_before;
    print(setup, memory, took, server, own);
    drain();
    std::fputs("}\n", stdout);
  }

 private:
  static Usage usage(const std::optional<Process>& process) {
    return process ? process->usage() : Usage();
  }

  // --- the phases ---

  /// @returns how many seconds it took.
  double connect_all() {
    const Nanoseconds began = progress_ = now();
    while (opened_ < options_.connections) {
      while (clients_.size() < options_.connections &&
             clients_.size() - opened_ < options_.concurrent) {
        connect_one();
      }
      poll(100);
      if (is_stalled()) {
        throw std::runtime_error("only " + std::to_string(opened_) + " of " +
                                 std::to_string(options_.connections) + " connections were made");
      }
    }
    return seconds(now() - began);
  }

  // A member may be in its room only after it got the answer to its upgrade: until then the server
  // has work to do.
  void settle() {
    constexpr double step = 0.1;
    constexpr double longest = 10;
    run_for(2 * step);
    for (double waited = 0; server_ && waited < longest; waited += step) {
      const Usage before = server_->usage();
      run_for(step);
      const Usage used = server_->usage() - before;
      if (used.cpu + used.waited < step / 10) return;
    }
  }

  void start() {
    is_sending_ = true;
    progress_ = now();
    for (std::size_t slot = 0; slot < loop_.in_flight(); ++slot) {
      for (std::size_t room = 0; room < loop_.rooms(); ++room) send_next(room, slot);
    }
  }

  double run_for(double duration) {
    const Nanoseconds began = now();
    const Nanoseconds end = began + nanoseconds(duration);
    for (Nanoseconds t = began; t < end; t = now()) {
      poll(static_cast<int>(std::ceil(seconds(end - t) * 1e3)));
      fail_if_stalled();
    }
    return seconds(now() - began);
  }

  void drain() {
    is_sending_ = false;
    while (loop_.outstanding() > 0) {
      poll(100);
      fail_if_stalled();
    }
    loop_.check();
  }

  [[nodiscard]] bool is_stalled() const { return seconds(now() - progress_) > options_.stall; }
  void fail_if_stalled() const {
    if (loop_.outstanding() > 0 && is_stalled()) {
      throw std::runtime_error("nothing comes any more: " + loop_.describe_outstanding());
    }
  }

  // --- sockets ---

  void connect_one() {
    const std::size_t index = clients_.size();
    const std::size_t room = index % options_.rooms;
    auto client = std::make_unique<Client>(options_.port, tls_, room, index / options_.rooms);
    if (client->socket.fd() < 0) throw std::runtime_error(std::strerror(errno));
    loop_.join(room, index);
    epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.ptr = client.get()}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->socket.fd(), &event);
    clients_.push_back(std::move(client));
  }

  void poll(int milliseconds) {
    const int n =
        epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), milliseconds);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      Client& client = *static_cast<Client*>(event.data.ptr);
      if (client.state == Client::State::connecting) {
        client.state = Client::State::upgrading;
        client.out = upgrade_request(
            "/ws/room-" + std::to_string(client.room) + (options_.resume ? "?resume=" : ""),
            options_.deflate);
      }
      if (!client.out.empty()) flush(client);
      if (event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) read(client);
    }
  }

  void flush(Client& client) {
    while (!client.out.empty()) {
      const auto [status, n] = client.socket.write(client.out.data(), client.out.size());
      if (status == Socket::Status::closed) throw std::runtime_error("it closed a connection");
      if (status == Socket::Status::would_block) break;
      client.out.erase(0, n);
    }
    if (client.waits_to_write != client.out.empty()) return;
    client.waits_to_write = !client.out.empty();
    const std::uint32_t out = client.waits_to_write ? EPOLLOUT : 0u;
    epoll_event event{.events = EPOLLIN | out, .data = {.ptr = &client}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, client.socket.fd(), &event);
  }

  void read(Client& client) {
    do {
      const std::size_t kept = client.in.copy(buffer_.data(), client.in.size());
      const auto [status, n] = client.socket.read(buffer_.data() + kept, buffer_.size() - kept);
      if (status == Socket::Status::would_block) return;
      if (status == Socket::Status::closed) throw std::runtime_error("it closed a connection");
      read_at_ = now();
      const std::string_view rest = take(client, {buffer_.data(), kept + n});
      client.in.assign(rest);
    } while (client.socket.has_pending());
  }

  // --- what comes in ---

  /// @returns the bytes behind the last whole frame.
  std::string_view take(Client& client, std::string_view data) {
    if (client.state == Client::State::upgrading) {
      const std::size_t end = data.find("\r\n\r\n");
      if (end == std::string_view::npos) return data;
      const std::string_view answer = data.substr(0, end);
      if (!answer.starts_with("HTTP/1.1 101") || answer.find(handshake_answer) == answer.npos) {
        throw std::runtime_error("it did not upgrade: " + std::string(answer));
      }
      if (options_.deflate && answer.find(deflate_answer) == answer.npos) {
        throw std::runtime_error("it does not compress: " + std::string(answer));
      }
      client.state = Client::State::open;
      ++opened_;
      progress_ = read_at_;
      data.remove_prefix(end + 4);
    }
    for (;;) {
      const FrameHead head = parse_frame(data.data(), data.size());
      if (head.status == FrameHead::Status::invalid) throw std::runtime_error("a broken frame");
      if (head.status == FrameHead::Status::partial) return data;
      const std::string_view payload = data.substr(head.header_size, head.payload_size);
      take_frame(client, head.opcode, head.is_compressed ? inflate_(payload) : payload);
      data.remove_prefix(head.header_size + head.payload_size);
    }
  }

  void take_frame(Client& client, Opcode opcode, std::string_view payload) {
    if (opcode == text) {
      if (options_.resume) {
        const std::size_t line = payload.find('\n');
        if (line == payload.npos) return;  // it is a member
        payload.remove_prefix(line + 1);
      }
      const auto received = loop_.receive(client.room, client.member, payload, read_at_);
      progress_ = read_at_;
      latency_.add(received.latency);
      ++deliveries_;
      if (!received.is_done) return;
      ++messages_;
      if (is_sending_) send_next(client.room, received.slot);
    } else if (opcode == ping) {
      ++pings_;
      append_frame(client.out, pong, payload);
      flush(client);
    } else if (opcode != pong) {
      throw std::runtime_error("a frame of opcode " + std::to_string(opcode));
    }
  }

  void send_next(std::size_t room, std::size_t slot) {
    const auto [connection, payload] = loop_.next(room, slot, now());
    Client& sender = *clients_[connection];
    append_frame(sender.out, text, payload);
    flush(sender);
  }

  // --- the outcome ---

  void print(double setup, std::int64_t memory, double took, const Usage& server,
             const Usage& own) const {
    const auto connections = static_cast<double>(options_.connections);
    const auto microseconds = [&](double q) {
      return static_cast<double>(latency_.quantile(q)) / 1e3;
    };
    std::printf("{\"setup_per_second\": %.1f, \"bytes_per_connection\": %.1f, ",
                connections / setup, static_cast<double>(memory) / connections);
    std::printf("\"seconds\": %.6f, \"deliveries\": %llu, \"messages\": %llu, \"pings\": %llu, ",
                took, static_cast<unsigned long long>(deliveries_),
                static_cast<unsigned long long>(messages_),
                static_cast<unsigned long long>(pings_));
    std::printf("\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, ", microseconds(0.5),
                microseconds(0.9), microseconds(0.99));
    std::printf("\"p999\": %.1f, \"max\": %.1f}, ", microseconds(0.999),
                static_cast<double>(latency_.max()) / 1e3);
    print("server", server);
    std::fputs(", ", stdout);
    print("load", own);
  }
  static void print(const char* who, const Usage& used) {
    std::printf("\"%s\": {\"user\": %.2f, \"system\": %.2f, \"cpu\": %.6f, \"waited\": %.6f}", who,
                used.user, used.system, used.cpu, used.waited);
  }

  const Options options_;
  const int epoll_;
  SSL_CTX* const tls_;
  ClosedLoop loop_;
  Inflating inflate_;
  std::optional<Process> server_;
  const Process self_{getpid()};

  std::vector<std::unique_ptr<Client>> clients_;
  std::size_t opened_ = 0;
  bool is_sending_ = false;
  Nanoseconds read_at_ = 0;
  Nanoseconds progress_ = 0;  // pings are none
  std::array<epoll_event, 1024> events_{};
  std::array<char, 262'144> buffer_{};

  Histogram latency_;
  std::uint64_t deliveries_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t pings_ = 0;
};

}  // namespace load

int main(int argc, char** argv) {
  load::Options options;
  try {
    options = load::parse(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load: %s\n%s", error.what(), load::usage);
    return 2;
  }
  try {
    const auto load = std::make_unique<load::Load>(options);
    load->run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load: %s: %s\n", options.name.c_str(), error.what());
    return 1;
  }
}
