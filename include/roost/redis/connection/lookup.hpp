// SPDX-License-Identifier: MIT
#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;

/// Receives the addresses of a name. Shared by the thread that asks for them and the coroutine that
/// waits; the thread outlives the coroutine if the DNS does not answer.
struct LookupAnswer {
  std::mutex mutex;
  // Guarded by the mutex.
  boost::asio::any_io_executor executor;  ///< Empty: nobody waits now.
  const void* waiter = nullptr;           ///< The last `LookupWaiter`.
  bool is_known = false;
  // Written before `is_known` is set, and not changed afterwards.
  Addresses addresses;
  boost::system::error_code error;

  WaitList arrived;  ///< Used on the executor only.

  /// Whether the addresses or an error have arrived.
  [[nodiscard]] bool has_come() {
    const std::lock_guard lock(mutex);
    return is_known;
  }
};
using LookupAnswerPtr = std::shared_ptr<LookupAnswer>;

/// The lookup of an attempt that did not wait for its end. The next attempt takes its answer;
/// otherwise a DNS slower than the limit on an attempt could never be used.
using PendingLookup = std::shared_ptr<LookupAnswerPtr>;

[[nodiscard]] inline boost::system::error_code lookup_error(int error, int system_error) {
  namespace failure = boost::asio::error;
  switch (error) {
    case 0: return {};
    case EAI_AGAIN: return failure::host_not_found_try_again;
    case EAI_FAIL: return failure::no_recovery;
    case EAI_MEMORY: return failure::no_memory;
    case EAI_SYSTEM: return {system_error, boost::system::system_category()};
    default: return failure::host_not_found;
  }
}

/// Asks the system for the addresses of a name. Blocks without a limit.
[[nodiscard]] inline Addresses ask_system(const std::string& host, std::uint16_t port,
                                          boost::system::error_code& error) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  error = lookup_error(result, errno);
  if (result != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = found; entry; entry = entry->ai_next) {
    boost::asio::ip::tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    endpoint.resize(entry->ai_addrlen);
    endpoint.port(port);
    addresses.push_back(endpoint);
  }
  return addresses;
}

/// Stores the answer, and wakes the coroutine that waits, if any. While the mutex is held the
/// `io_context` cannot be destroyed, since `LookupWaiter` removes the executor first.
inline void hand_over(const LookupAnswerPtr& answer, Addresses addresses,
                      boost::system::error_code error) {
  const std::lock_guard lock(answer->mutex);
  answer->addresses = std::move(addresses);
  answer->error = error;
  answer->is_known = true;
  if (!answer->executor) return;
  boost::asio::post(answer->executor, [answer] { answer->arrived.notify_all(); });
}

/// How many threads of this process look up names now. Bounded: names that get no answer for
/// minutes must not collect threads.
inline std::atomic<int> lookups_under_way = 0;
inline constexpr int max_lookups = 64;

/// Starts a detached thread that asks the system, so that neither the end of the process nor of an
/// `io_context` waits for the DNS. (Asio's resolver has a thread that `~io_context` joins.)
inline void start_lookup(LookupAnswerPtr answer, std::string host, std::uint16_t port) {
  struct Count {
    Count() { ++lookups_under_way; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { --lookups_under_way; }
  };
  const boost::system::system_error too_many(boost::asio::error::host_not_found_try_again);
  auto count = std::make_shared<Count>();
  if (lookups_under_way > max_lookups) throw too_many;
  // Signals are for the threads of the application.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  struct Restore {
    const sigset_t& mask;
    ~Restore() { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } restore{before};
  try {
    std::thread([answer = std::move(answer), host = std::move(host), port,
                 count = std::move(count)]() noexcept {
      try {
        boost::system::error_code error;
        Addresses addresses = ask_system(host, port, error);
        hand_over(answer, std::move(addresses), error);
      } catch (const std::bad_alloc&) {  // the coroutine that waits has a deadline
        const std::lock_guard lock(answer->mutex);
        answer->error = boost::asio::error::no_memory;
        answer->is_known = true;
      }
    }).detach();
  } catch (const std::system_error&) {  // no more threads
    throw too_many;
  }
}

/// Keeps a coroutine registered as waiting for a lookup.
class LookupWaiter final : private ContextGuard {
 public:
  LookupWaiter(const boost::asio::any_io_executor& executor, LookupAnswerPtr answer)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        answer_(std::move(answer)) {
    const std::lock_guard lock(answer_->mutex);
    answer_->executor = executor;
    answer_->waiter = this;
  }
  ~LookupWaiter() override {
    leave_context();
    on_context_destroyed();
  }

 private:
  void on_context_destroyed() noexcept override {
    boost::asio::any_io_executor dropped;
    const std::lock_guard lock(answer_->mutex);
    if (answer_->waiter == this) dropped = std::exchange(answer_->executor, {});
  }

  const LookupAnswerPtr answer_;
};

/// Finds the addresses of @p host, in the order in which the system prefers them. A numeric address
/// needs no thread.
/// @param pending  shared by all attempts with this name; keeps a lookup that an attempt did not
///                 wait for
/// @par Errors  those of Asio.
inline boost::asio::awaitable<Addresses> look_up(
    boost::asio::any_io_executor executor, std::string host, std::uint16_t port,
    PendingLookup pending = std::make_shared<LookupAnswerPtr>()) {
  boost::system::error_code is_name;
  const auto address = boost::asio::ip::make_address(host, is_name);
  if (!is_name) co_return Addresses(1, boost::asio::ip::tcp::endpoint(address, port));
  const bool is_new = *pending == nullptr;
  const LookupAnswerPtr answer = is_new ? std::make_shared<LookupAnswer>() : *pending;
  const LookupWaiter waiter(executor, answer);
  if (is_new) start_lookup(answer, std::move(host), port);
  *pending = answer;
  // The caller sets the deadline. The system clock outlives a lookup that was given up.
  while (!answer->has_come()) co_await wait(answer->arrived, executor, Clock::system());
  pending->reset();
  if (answer->error) throw boost::system::system_error(answer->error);
  co_return std::move(answer->addresses);
}

}  // namespace roost::detail
