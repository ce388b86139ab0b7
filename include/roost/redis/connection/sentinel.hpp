// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "roost/redis/connection/link.hpp"
#include "roost/redis/connection/lookup.hpp"
#include "roost/redis/connection/shared.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The answer of a Sentinel.
struct SentinelAnswer {
  RedisPlace primary = {};
  std::vector<RedisPlace> others = {};  ///< The other Sentinels.
};

/// Reads a place from an array of names and values with `ip` and `port`.
[[nodiscard]] inline RedisPlace place_of(const RedisReply& fields) {
  RedisPlace place{.port = 0};
  for (std::size_t i = 0; i + 1 < fields.elements.size(); i += 2) {
    const std::string& value = fields.elements[i + 1].text;
    if (fields.elements[i].text == "ip") place.host = value;
    if (fields.elements[i].text == "port") {
      place.port = parse_number<std::uint16_t>(value).value_or(0);
    }
  }
  return place;
}

inline void append_sentinel_log_in(std::string& commands, const RedisUrl& url) {
  if (!url.sentinel_user.empty()) {
    append_command(commands, {"AUTH", url.sentinel_user, url.sentinel_password});
  } else if (!url.sentinel_password.empty()) {
    append_command(commands, {"AUTH", url.sentinel_password});
  }
}

/// Asks one Sentinel for the primary, over a connection of its own.
/// @par Errors  `RedisTrouble`, saying why the Sentinel cannot be used, and those of Asio.
inline boost::asio::awaitable<SentinelAnswer> ask_sentinel(boost::asio::any_io_executor executor,
                                                           RedisTargetPtr target,
                                                           RedisPlace sentinel) {
  const RedisUrl& url = target->url;
  const Addresses addresses = co_await look_up(executor, sentinel.host, sentinel.port);
  if (addresses.empty()) throw RedisTrouble("it has no address");
  auto stream =
      co_await connect_stream(executor, url, target->options, sentinel.host, addresses.front());
  const auto link = std::make_shared<RedisLink>(std::move(stream));
  append_sentinel_log_in(link->outgoing(), url);
  append_command(link->outgoing(), {"SENTINEL", "get-master-addr-by-name", url.primary});
  append_command(link->outgoing(), {"SENTINEL", "sentinels", url.primary});
  co_await RedisLink::write(link);
  if (!url.sentinel_password.empty()) {
    const RedisReply reply = co_await RedisLink::read(link);
    if (reply.is_error()) throw RedisTrouble(reply.text);
  }
  const RedisReply primary = co_await RedisLink::read(link);
  if (primary.is_error()) throw RedisTrouble(primary.text);
  if (primary.elements.size() != 2) throw RedisTrouble("it does not know \"" + url.primary + "\"");
  SentinelAnswer answer;
  answer.primary.host = primary.elements[0].text;
  answer.primary.port = parse_number<std::uint16_t>(primary.elements[1].text).value_or(0);
  const RedisReply others = co_await RedisLink::read(link);
  for (const RedisReply& fields : others.elements) answer.others.push_back(place_of(fields));
  link->close("asked");
  co_return answer;
}

/// Notes that the Sentinel at @p i answered: it is asked first from now on. Adds the Sentinels that
/// it knows.
inline void note_answer(SentinelList& list, std::size_t i, const SentinelAnswer& answer) {
  constexpr std::size_t max_sentinels = 16;
  list.primary = answer.primary;
  const auto front = list.places.begin();
  std::rotate(front, front + static_cast<std::ptrdiff_t>(i),
              front + static_cast<std::ptrdiff_t>(i) + 1);
  for (const RedisPlace& place : answer.others) {
    const bool is_known =
        std::find(list.places.begin(), list.places.end(), place) != list.places.end();
    if (place.host.empty() || place.port == 0 || is_known) continue;
    if (list.places.size() < max_sentinels) list.places.push_back(place);
  }
}

/// Asks the Sentinels one after the other until one knows the primary. Each has half a second.
/// @par Errors  `RedisTrouble`, saying how each of them failed.
inline boost::asio::awaitable<RedisPlace> find_primary(boost::asio::any_io_executor executor,
                                                       RedisTargetPtr target) {
  constexpr Clock::duration limit = std::chrono::milliseconds(500);
  const std::vector<RedisPlace> places = target->sentinels->places;  // a copy: the list may change
  std::string why;
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::string trouble;
    try {
      auto asking = ask_sentinel(executor, target, places[i]);
      const SentinelAnswer answer =
          co_await with_deadline(std::move(asking), executor, *target->options.clock, limit);
      SentinelList& list = *target->sentinels;
      const auto at = std::find(list.places.begin(), list.places.end(), places[i]);
      note_answer(list, static_cast<std::size_t>(at - list.places.begin()), answer);
      co_return answer.primary;
    } catch (const boost::system::system_error& error) {
      if (error.code() == boost::asio::error::operation_aborted) throw;
      trouble = RedisLink::describe(error, limit);
    } catch (const RedisTrouble& error) {
      trouble = error.what();
    }
    why += (why.empty() ? "" : "; ") + places[i].text() + ": " + trouble;
  }
  throw RedisTrouble("no Sentinel tells where \"" + target->url.primary + "\" is: " + why);
}

/// Asks the Sentinels regularly whether the primary has changed. An old primary that is cut off
/// from the others does not notice that itself.
class SentinelWatch : public std::enable_shared_from_this<SentinelWatch> {
 public:
  using Moved = std::function<void(const std::string& why)>;

  SentinelWatch(RedisSharedPtr shared, Moved moved)
      : shared_(std::move(shared)), moved_(std::move(moved)) {}

  void begin() {
    if (child_ && !child_->is_done()) return;
    child_ = Child<void>::start(shared_->executor(), run(shared_from_this()));
  }
  /// Ends the watch. @returns the coroutine that ends; may be null
  std::shared_ptr<Child<void>> end() {
    auto child = std::exchange(child_, nullptr);
    if (child) child->cancel();
    return child;
  }
  /// Ends the watch without cancelling its coroutine, which is destroyed with the `io_context`.
  void release() noexcept { child_.reset(); }

 private:
  static boost::asio::awaitable<void> run(std::shared_ptr<SentinelWatch> self) {
    const RedisSharedPtr shared = self->shared_;
    const boost::asio::any_io_executor executor = shared->executor();
    for (;;) {
      const Clock::duration interval = shared->options().probe_interval;
      co_await sleep_until(executor, shared->clock(), shared->now() + interval);
      const RedisPlace before = shared->target()->sentinels->primary;
      RedisPlace now = before;
      try {
        now = co_await find_primary(executor, shared->target());
      } catch (const RedisTrouble& trouble) {
        shared->log_limited(Severity::warning, "redis_sentinels_silent", {{"why", trouble.what()}});
      }
      if (now == before || before.host.empty()) continue;
      self->moved_("the Sentinels say that the primary is " + now.text() + " now");
    }
  }

  const RedisSharedPtr shared_;
  const Moved moved_;
  std::shared_ptr<Child<void>> child_;
};

}  // namespace roost::detail
