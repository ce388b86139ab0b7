// SPDX-License-Identifier: MIT
#pragma once

#include <exception>

#include "roost/redis/connection/codec.hpp"
#include "roost/redis/connection/lookup.hpp"
#include "roost/redis/connection/stream.hpp"
#include "roost/runtime/detail/tasks.hpp"

namespace roost::detail {

/// The answer of Redis to ROLE.
///
/// Only a primary can be used. A message published to a replica reaches only the clients of that
/// replica, and its subscribers do not notice.
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

  /// False if ROLE is not permitted, or the server does not know the command.
  [[nodiscard]] bool is_known() const noexcept { return !name_.empty(); }
  /// The error if the role is not known.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }
  /// Whether Redis can be used. If the role is not known, it is assumed to be a primary.
  [[nodiscard]] bool is_usable() const noexcept { return name_ != "slave" && name_ != "sentinel"; }
  /// Why Redis cannot be used.
  [[nodiscard]] std::string why() const {
    if (name_ == "sentinel") return "it is a Sentinel, which passes no messages on";
    return "it is a replica of " + primary_ +
           ", and messages published there reach only its own clients";
  }

 private:
  std::string name_;
  std::string primary_;
  std::string refusal_;
};

/// The known Sentinels, beginning with the one that answered last, and the primary that it named.
/// Used on the backplane's executor.
struct SentinelList {
  std::vector<RedisPlace> places;
  RedisPlace primary = {};
};

/// The address and options of Redis; shared by all coroutines.
struct RedisTarget {
  RedisUrl url;
  RedisOptions options;
  std::shared_ptr<SentinelList> sentinels = {};  ///< Null if the URL names the host.
};
using RedisTargetPtr = std::shared_ptr<const RedisTarget>;

// Defined in `sentinel.hpp`.
boost::asio::awaitable<RedisPlace> find_primary(boost::asio::any_io_executor executor,
                                                RedisTargetPtr target);

/// Redis answers, but cannot be used since it is not a primary.
struct RedisUnusable : RedisTrouble {
  using RedisTrouble::RedisTrouble;
};

/// A connection to Redis that is logged in. Owned by the coroutines that use it, so that it is
/// destroyed with the `io_context`.
class RedisLink : public std::enable_shared_from_this<RedisLink> {
 public:
  using Ptr = std::shared_ptr<RedisLink>;

  /// Connects to Redis: tries the addresses of the host one after the other, each for its share of
  /// the time.
  /// @param turn     selects the address to begin with; different for each attempt
  /// @param pending  shared by all attempts
  /// @par Errors  `RedisTrouble`, saying where and why, but never the password.
  static boost::asio::awaitable<Ptr> connect(boost::asio::any_io_executor executor,
                                             RedisTargetPtr target, std::size_t turn,
                                             PendingLookup pending) {
    std::string why;
    bool is_unusable = false;
    try {
      const Clock::time_point deadline =
          target->options.clock->now() + target->options.connect_timeout;
      const Found found = co_await find(executor, target, std::move(pending));
      const Addresses& addresses = found.addresses;
      for (std::size_t i = 0; i < addresses.size(); ++i) {
        const Clock::duration rest = deadline - target->options.clock->now();
        const auto share = std::max(rest, Clock::duration::zero()) /
                           static_cast<Clock::duration::rep>(addresses.size() - i);
        const auto& address = addresses[(turn + i) % addresses.size()];
        Attempt attempt = co_await try_address(executor, target, found.host, address, share);
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

  /// The buffer of commands to send. (Its memory is kept for the next burst: allocating it anew
  /// would cost most of the time.)
  [[nodiscard]] std::string& outgoing() noexcept { return outgoing_; }
  /// Sends all of `outgoing`, without a deadline. One call at a time.
  static boost::asio::awaitable<void> write(Ptr self) {
    co_await self->stream_->write(boost::asio::buffer(self->outgoing_));
    self->outgoing_.clear();
  }
  /// Sends all of `outgoing` in pieces, and closes the link if a piece takes longer than
  /// `command_timeout`: a long message needs its time on a slow link. Creates no further coroutine
  /// if nothing has to wait.
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

  /// The next complete reply, valid until the next call; null if there is none yet.
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
  /// Waits until bytes arrive. One call at a time.
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

  /// Closes the link, so that its operations fail. The first reason is kept.
  void close(std::string_view why) noexcept {
    if (!is_open_) return;
    is_open_ = false;
    try {
      why_ = why;
    } catch (...) {  // closes also without a reason
    }
    stream_->close();
  }
  /// Closes the link for the exception that is being handled.
  void close_after_error() {
    try {
      throw;
    } catch (const boost::system::system_error& error) {
      close(describe(error, {}));
    } catch (const std::exception& error) {
      close(error.what());
    }
  }
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

  /// The role that Redis reported at the log-in.
  [[nodiscard]] const RedisRole& role() const noexcept { return role_; }
  /// Whether Redis can still be used, given a later answer to ROLE.
  [[nodiscard]] bool is_usable(const RedisRole& role) const noexcept {
    return is_cluster_ || role.is_usable();
  }

  explicit RedisLink(std::unique_ptr<RedisStream> stream) noexcept : stream_(std::move(stream)) {}

  /// Describes an error of the connection, for the log.
  static std::string describe(const boost::system::system_error& error, Clock::duration limit) {
    if (error.code() == errc::timed_out) {
      const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit);
      return "no answer within " + std::to_string(ms.count()) + " ms";
    }
    if (error.code() == boost::asio::error::eof) return "the server closed the connection";
    return error.code().message();
  }

 private:
  static boost::asio::awaitable<void> write_piece(Ptr self, std::size_t from, std::size_t size) {
    co_await self->stream_->write(boost::asio::buffer(self->outgoing_.data() + from, size));
  }

  struct Attempt {
    Ptr link = {};
    std::string why = {};  ///< Set if `link` is null.
    bool is_unusable = false;
  };

  struct Found {
    std::string host = {};
    Addresses addresses = {};
  };

  /// Finds the addresses to try. For a unix socket, returns one address that is not used.
  static boost::asio::awaitable<Found> find(boost::asio::any_io_executor executor,
                                            RedisTargetPtr target, PendingLookup pending) {
    const RedisUrl& url = target->url;
    Found found{.host = url.host};
    if (url.transport == RedisUrl::Transport::unix_socket) {
      found.addresses.resize(1);
      co_return found;
    }
    RedisPlace place{url.host, url.port};
    if (target->sentinels) {
      place = co_await find_primary(executor, target);
      found.host = place.host;
      pending = std::make_shared<LookupAnswerPtr>();  // the host may change
    }
    auto looking = look_up(executor, place.host, place.port, std::move(pending));
    found.addresses = co_await with_deadline(std::move(looking), executor, *target->options.clock,
                                             target->options.connect_timeout);
    co_return found;
  }

  static boost::asio::awaitable<Attempt> try_address(boost::asio::any_io_executor executor,
                                                     RedisTargetPtr target, std::string host,
                                                     boost::asio::ip::tcp::endpoint address,
                                                     Clock::duration limit) {
    Attempt attempt;
    try {
      auto opening = open(executor, target, std::move(host), address);
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
                                          RedisTargetPtr target, std::string host,
                                          boost::asio::ip::tcp::endpoint address) {
    auto stream =
        co_await connect_stream(executor, target->url, target->options, std::move(host), address);
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
    append_command(commands, {"PING"});  // fails if Redis is full, or wants a password
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
  // Reads a reply. If that fails too, throws the earlier error of the write.
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
      // A Redis that rejects the connection says why before it closes.
      if (error.code() == boost::asio::error::operation_aborted) throw;
      unsent = std::current_exception();
    }
    for (const std::string_view command : sent) {
      const RedisReply reply = co_await read_although(self, unsent);
      if (command == "ROLE") self->role_ = RedisRole(reply);
      // An error of CLIENT or ROLE is ignored, and so is a PING without permission. A Redis that
      // cannot write to its disk (which it also reports for PING) still forwards messages.
      const bool is_needed =
          command == "AUTH" || command == "SELECT" ||
          (command == "PING" && !reply.text.starts_with("NOPERM") &&
           !reply.text.starts_with("MISCONF") && !reply.text.starts_with("MASTERDOWN"));
      if (!reply.is_error() || !is_needed) continue;
      throw RedisTrouble(std::string(command) + ": " + reply.text);
    }
    if (self->role_.is_usable()) co_return;
    // The nodes of a Redis Cluster forward published messages to each other, also from a replica.
    append_command(self->outgoing_, {"INFO", "server"});
    co_await write(self);
    const RedisReply info = co_await read(self);
    const bool is_cluster = info.text.find("redis_mode:cluster") != std::string::npos;
    if (!is_cluster) throw RedisUnusable(self->role_.why());
    self->is_cluster_ = true;
  }

  const std::unique_ptr<RedisStream> stream_;
  std::string outgoing_;
  RedisReader reader_{{.elements = 4096}};  // ROLE lists all replicas
  RedisRole role_;
  bool is_cluster_ = false;
  // A large buffer, so that bursts do not queue up at Redis, which disconnects subscribers that
  // read too slowly.
  std::vector<char> buffer_ = std::vector<char>(262'144);
  std::string_view unfed_;  // bytes in `buffer_`
  bool is_open_ = true;
  std::string why_;
};

/// A link and the coroutine that reads from it. The destructor ends both.
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
