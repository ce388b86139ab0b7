// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/redis/connection/codec.hpp"
#include "roost/redis/connection/lookup.hpp"
#include "roost/redis/connection/stream.hpp"
#include "roost/redis/connection/url.hpp"
#include "roost/redis/options.hpp"
#include "roost/runtime/detail/tasks.hpp"

namespace roost::detail {

/// What a Redis says of itself when it is asked with ROLE.
///
/// What is published to a replica reaches the clients of that replica and nobody else, though its
/// own subscribers are none the wiser: only a primary is of use.
class RedisRole {
 public:
  RedisRole() = default;
  explicit RedisRole(const RedisReply& reply) {
    if (reply.elements.empty()) {
      refusal_ = reply.text;
      return;
    }
    name_ = reply.elements[0].text;
    if (name_ == "slave" && reply.elements.size() >= 3) {
      primary_ = reply.elements[1].text + ":" + std::to_string(reply.elements[2].integer);
    }
  }

  /// It may not be asked, or is something that does not know.
  [[nodiscard]] bool is_known() const noexcept { return !name_.empty(); }
  /// Why not.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }
  /// Where it is not known, the best is hoped for.
  [[nodiscard]] bool is_usable() const noexcept { return name_ != "slave" && name_ != "sentinel"; }
  /// Why it is not usable.
  [[nodiscard]] std::string why() const {
    if (name_ == "sentinel") return "it is a Sentinel, which passes no messages on";
    return "it is a replica of " + primary_ +
           ", and what is published there reaches none but its own clients";
  }

 private:
  std::string name_;
  std::string primary_;
  std::string refusal_;
};

/// Where to connect, and how; shared by all that runs.
struct RedisTarget {
  RedisUrl url;
  RedisOptions options;
};
using RedisTargetPtr = std::shared_ptr<const RedisTarget>;

/// It answers, but is a Redis that is of no use: a replica.
struct RedisUnusable : RedisTrouble {
  using RedisTrouble::RedisTrouble;
};

/// One connection to Redis, logged in. Owned by the coroutines that use it, so that it goes with
/// the `io_context`.
class RedisLink : public std::enable_shared_from_this<RedisLink> {
 public:
  using Ptr = std::shared_ptr<RedisLink>;

  /// Tries the addresses of the host one after the other, each for its share of the time.
  /// @param turn     with which of them it begins: another for each attempt
  /// @param pending  the same for all attempts
  /// Throws `RedisTrouble` that says where and why, but never the password.
  static boost::asio::awaitable<Ptr> connect(boost::asio::any_io_executor executor,
                                             RedisTargetPtr target, std::size_t turn,
                                             PendingLookup pending) {
    std::string why;
    bool is_unusable = false;
    try {
      const Clock::time_point deadline =
          target->options.clock->now() + target->options.connect_timeout;
      const Addresses addresses = co_await find(executor, target, std::move(pending));
      for (std::size_t i = 0; i < addresses.size(); ++i) {
        const Clock::duration rest = deadline - target->options.clock->now();
        const auto share = std::max(rest, Clock::duration::zero()) /
                           static_cast<Clock::duration::rep>(addresses.size() - i);
        const auto& address = addresses[(turn + i) % addresses.size()];
        Attempt attempt = co_await try_address(executor, target, address, share);
        if (attempt.link) co_return std::move(attempt.link);
        if (!why.empty()) why += "; ";
        if (addresses.size() > 1) why += address.address().to_string() + ": ";
        why += attempt.why;
        is_unusable = is_unusable || attempt.is_unusable;
      }
    } catch (const boost::system::system_error& error) {
      if (error.code() == boost::asio::error::operation_aborted) throw;
      why = describe(error, target->options.connect_timeout);
    }
    why = "Redis at " + target->url.where() + ": " + why;
    if (is_unusable) throw RedisUnusable(why);
    throw RedisTrouble(why);
  }

  /// What is to be sent. (It stays for the next time: making such memory anew costs most.)
  [[nodiscard]] std::string& outgoing() noexcept { return outgoing_; }
  /// Sends all that is `outgoing`, however long that takes. One at a time.
  static boost::asio::awaitable<void> write(Ptr self) {
    co_await self->stream_->write(boost::asio::buffer(self->outgoing_));
    self->outgoing_.clear();
  }
  /// Sends all that is `outgoing`, and closes where a piece of it takes longer than an answer may:
  /// a long message needs its time on a slow link. Without a coroutine of its own where nothing has
  /// to wait.
  static boost::asio::awaitable<void> send(Ptr self, RedisTargetPtr target,
                                           boost::asio::any_io_executor executor) {
    std::string& bytes = self->outgoing_;
    const RedisOptions& options = target->options;
    std::size_t sent = self->stream_->write_now(boost::asio::buffer(bytes));
    while (sent < bytes.size()) {
      constexpr std::size_t longest_piece = 65'536;
      const std::size_t piece = std::min(longest_piece, bytes.size() - sent);
      auto writing = write_piece(self, sent, piece);
      try {
        co_await with_deadline(std::move(writing), executor, *options.clock,
                               options.command_timeout);
      } catch (const boost::system::system_error& error) {
        co_return self->close(describe(error, options.command_timeout));
      }
      sent += piece;
    }
    bytes.clear();
    constexpr std::size_t to_keep = 262'144;
    if (bytes.capacity() > to_keep) bytes = std::string();
  }

  /// The next reply, as far as it has come, else null; good until the next call.
  [[nodiscard]] RedisReply* next() {
    RedisReply* reply = reader_.next();
    while (!reply && !unfed_.empty()) {
      constexpr std::size_t piece = 16'384;
      reader_.feed(unfed_.substr(0, piece));
      unfed_.remove_prefix(std::min(piece, unfed_.size()));
      reply = reader_.next();
    }
    return reply;
  }
  /// Waits for more to come. One at a time.
  static boost::asio::awaitable<void> read_more(Ptr self) {
    if (const std::string error = self->reader_.error(); !error.empty()) {
      throw RedisTrouble(error);
    }
    const auto buffer = boost::asio::buffer(self->buffer_);
    const std::size_t size = co_await self->stream_->read_some(buffer);
    self->unfed_ = {self->buffer_.data(), size};
  }
  static boost::asio::awaitable<RedisReply> read(Ptr self) {
    RedisReply* reply = self->next();
    while (!reply) {
      co_await read_more(self);
      reply = self->next();
    }
    co_return std::move(*reply);
  }

  /// What is under way fails; the first reason counts.
  void close(std::string_view why) noexcept {
    if (!is_open_) return;
    is_open_ = false;
    try {
      why_ = why;
    } catch (...) {  // it closes, even without a reason
    }
    stream_->close();
  }
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

  /// What it said of itself at the log-in.
  [[nodiscard]] const RedisRole& role() const noexcept { return role_; }
  /// What it says of itself later is taken for an answer to ROLE: may it be used still?
  [[nodiscard]] bool is_usable(const RedisRole& role) const noexcept {
    return is_cluster_ || role.is_usable();
  }

  explicit RedisLink(std::unique_ptr<RedisStream> stream) noexcept : stream_(std::move(stream)) {}

  /// What to say of an error on the way to Redis.
  static std::string describe(const boost::system::system_error& error, Clock::duration limit) {
    if (error.code() == errc::timed_out) {
      const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit);
      return "no answer within " + std::to_string(ms.count()) + " ms";
    }
    if (error.code() == boost::asio::error::eof) return "it closed the connection";
    return error.code().message();
  }

 private:
  static boost::asio::awaitable<void> write_piece(Ptr self, std::size_t from, std::size_t size) {
    co_await self->stream_->write(boost::asio::buffer(self->outgoing_.data() + from, size));
  }

  struct Attempt {
    Ptr link = {};
    std::string why = {};  ///< Where there is no link.
    bool is_unusable = false;
  };

  /// Where to connect to; of a unix socket one address that says nothing.
  static boost::asio::awaitable<Addresses> find(boost::asio::any_io_executor executor,
                                                RedisTargetPtr target, PendingLookup pending) {
    const RedisUrl& url = target->url;
    if (url.transport == RedisUrl::Transport::unix_socket) co_return Addresses(1);
    Clock& clock = *target->options.clock;
    auto looking = look_up(executor, url.host, url.port, std::move(pending));
    co_return co_await with_deadline(std::move(looking), executor, clock,
                                     target->options.connect_timeout);
  }

  static boost::asio::awaitable<Attempt> try_address(boost::asio::any_io_executor executor,
                                                     RedisTargetPtr target,
                                                     boost::asio::ip::tcp::endpoint address,
                                                     Clock::duration limit) {
    Attempt attempt;
    try {
      auto opening = open(executor, target, address);
      attempt.link =
          co_await with_deadline(std::move(opening), executor, *target->options.clock, limit);
    } catch (const boost::system::system_error& error) {
      if (error.code() == boost::asio::error::operation_aborted) throw;
      attempt.why = describe(error, limit);
    } catch (const RedisUnusable& trouble) {
      attempt.why = trouble.what();
      attempt.is_unusable = true;
    } catch (const RedisTrouble& trouble) {
      attempt.why = trouble.what();
    }
    co_return attempt;
  }
  static boost::asio::awaitable<Ptr> open(boost::asio::any_io_executor executor,
                                          RedisTargetPtr target,
                                          boost::asio::ip::tcp::endpoint address) {
    auto stream = co_await connect_stream(executor, target->url, target->options, address);
    auto link = std::make_shared<RedisLink>(std::move(stream));
    co_await log_in(link, target);
    co_return link;
  }

  static std::vector<std::string_view> append_log_in(std::string& commands,
                                                     const RedisTarget& target) {
    const RedisUrl& url = target.url;
    std::vector<std::string_view> sent;
    if (!url.user.empty()) {
      append_command(commands, {"AUTH", url.user, url.password});
      sent.emplace_back("AUTH");
    } else if (!url.password.empty()) {
      append_command(commands, {"AUTH", url.password});
      sent.emplace_back("AUTH");
    }
    append_command(commands, {"PING"});  // tells if there is a place, and if a password is needed
    sent.emplace_back("PING");
    append_command(commands, {"ROLE"});
    sent.emplace_back("ROLE");
    if (url.database != 0) {
      append_command(commands, {"SELECT", std::to_string(url.database)});
      sent.emplace_back("SELECT");
    }
    if (!target.options.client_name.empty()) {
      append_command(commands, {"CLIENT", "SETNAME", target.options.client_name});
      sent.emplace_back("CLIENT");
    }
    return sent;
  }
  // Where nothing is to be read either, the error from before is the reason.
  static boost::asio::awaitable<RedisReply> read_although(Ptr self, std::exception_ptr unsent) {
    try {
      co_return co_await read(self);
    } catch (const boost::system::system_error& error) {
      if (!unsent || error.code() == boost::asio::error::operation_aborted) throw;
    }
    std::rethrow_exception(unsent);
  }
  static boost::asio::awaitable<void> log_in(Ptr self, RedisTargetPtr target) {
    const std::vector<std::string_view> sent = append_log_in(self->outgoing_, *target);
    std::exception_ptr unsent;
    try {
      co_await write(self);
    } catch (const boost::system::system_error& error) {
      // A Redis that turns us away says why before it closes.
      if (error.code() == boost::asio::error::operation_aborted) throw;
      unsent = std::current_exception();
    }
    for (const std::string_view command : sent) {
      const RedisReply reply = co_await read_although(self, unsent);
      if (command == "ROLE") self->role_ = RedisRole(reply);
      // Neither a name nor a ping is worth a permission; and what keeps a Redis from writing to its
      // disk (which it also answers to PING) does not keep it from passing messages on.
      const bool is_needed =
          command == "AUTH" || command == "SELECT" ||
          (command == "PING" && !reply.text.starts_with("NOPERM") &&
           !reply.text.starts_with("MISCONF") && !reply.text.starts_with("MASTERDOWN"));
      if (!reply.is_error() || !is_needed) continue;
      throw RedisTrouble(std::string(command) + ": " + reply.text);
    }
    if (self->role_.is_usable()) co_return;
    // The nodes of a Redis Cluster tell each other what is published, also to a replica.
    append_command(self->outgoing_, {"INFO", "server"});
    co_await write(self);
    const RedisReply info = co_await read(self);
    const bool is_cluster = info.text.find("redis_mode:cluster") != std::string::npos;
    if (!is_cluster) throw RedisUnusable(self->role_.why());
    self->is_cluster_ = true;
  }

  const std::unique_ptr<RedisStream> stream_;
  std::string outgoing_;
  RedisReader reader_{{.elements = 4096}};  // ROLE tells all replicas
  RedisRole role_;
  bool is_cluster_ = false;
  // Large, so that a burst does not pile up at Redis, which cuts off subscribers that do not read.
  std::vector<char> buffer_ = std::vector<char>(262'144);
  std::string_view unfed_;  // of what is in it
  bool is_open_ = true;
  std::string why_;
};

/// A connection and the coroutine that reads from it; both end with this.
class RedisReading {
 public:
  RedisReading(boost::asio::any_io_executor executor, RedisLink::Ptr link,
               boost::asio::awaitable<void> reader)
      : link_(std::move(link)), child_(Child<void>::start(executor, std::move(reader))) {}
  RedisReading(const RedisReading&) = delete;
  RedisReading& operator=(const RedisReading&) = delete;
  ~RedisReading() {
    link_->close("stopped");
    child_->cancel();
  }

 private:
  const RedisLink::Ptr link_;
  const std::shared_ptr<Child<void>> child_;
};

}  // namespace roost::detail
