// SPDX-License-Identifier: MIT
#pragma once

#include <hiredis/hiredis.h>

#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::detail {

/// One reply of Redis.
struct RedisReply {
  int type = REDIS_REPLY_NIL;
  long long integer = 0;
  std::string text = {};  ///< Of a string, a status or an error.
  std::vector<RedisReply> elements = {};

  [[nodiscard]] bool is_error() const noexcept { return type == REDIS_REPLY_ERROR; }
  [[nodiscard]] bool is_integer() const noexcept { return type == REDIS_REPLY_INTEGER; }
};

/// Appends a number that says how much comes.
inline void append_count(std::string& out, char kind, std::size_t count) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, count);
  out += kind;
  out.append(digits, end).append("\r\n");
}

/// Appends a command in the protocol of Redis. (hiredis formats with `sprintf` into memory of its
/// own, which costs a publisher a seventh of its time.)
inline void append_command(std::string& out, std::span<const std::string_view> arguments) {
  append_count(out, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    append_count(out, '$', argument.size());
    out.append(argument).append("\r\n");
  }
}
inline void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
  append_command(out, std::span(arguments.begin(), arguments.size()));
}

/// Makes replies of bytes. What no Redis would answer is refused before memory is given to it.
class RedisReader {
 public:
  struct Limits {
    std::size_t elements = 64;                  ///< Of an array.
    std::size_t bytes = std::size_t{64} << 20;  ///< Of one string.
  };

  RedisReader() : RedisReader(Limits()) {}
  explicit RedisReader(Limits limits)
      : limits_(limits), reader_(redisReaderCreateWithFunctions(&functions()), &redisReaderFree) {
    if (!reader_) throw std::bad_alloc();
    reader_->maxbuf = 262'144;     // kept while it is empty: else it is allocated with each feed
    reader_->privdata = &limits_;  // hiredis 0.14 has a macro that C++ refuses
  }
  RedisReader(const RedisReader&) = delete;
  RedisReader& operator=(const RedisReader&) = delete;

  /// Takes what came from the socket. Best in pieces of some KiB: hiredis moves the rest of its
  /// buffer to the front with each few replies.
  void feed(std::string_view bytes) { redisReaderFeed(reader_.get(), bytes.data(), bytes.size()); }

  /// The next reply; nothing if it is not complete yet, or if there is an `error()`.
  [[nodiscard]] std::optional<RedisReply> next() {
    void* reply = nullptr;
    redisReaderGetReply(reader_.get(), &reply);
    if (reply) {
      const std::unique_ptr<RedisReply> owner(static_cast<RedisReply*>(reply));
      return std::move(*owner);
    }
    is_too_long_ = reader_->len - reader_->pos > limits_.bytes;
    return std::nullopt;
  }

  /// Why no more can be read; empty: nothing is wrong.
  [[nodiscard]] std::string error() const {
    if (is_too_long_) return "a reply of over " + std::to_string(limits_.bytes) + " bytes";
    if (reader_->err == REDIS_ERR_OOM) return "a reply that no Redis would send";
    return reader_->err ? reader_->errstr : "";
  }

 private:
  static redisReplyObjectFunctions& functions() {
    static redisReplyObjectFunctions table = [] {
      redisReplyObjectFunctions f{};
      f.createString = &create_string;
      f.createArray = &create_array;  // of an int or a size_t, as hiredis wants it
      f.createInteger = &create_integer;
      f.createNil = &create_nil;
      f.freeObject = &free_object;
      return f;
    }();
    return table;
  }

  // A place for what a task reads: in its array, or on its own. Null, which hiredis takes for a
  // lack of memory, if there is none. Nothing may be thrown through hiredis.
  static RedisReply* place(const redisReadTask* task) noexcept {
    try {
      RedisReply* reply = nullptr;
      if (task->parent) {
        reply = &static_cast<RedisReply*>(task->parent->obj)->elements.emplace_back();
      } else {
        reply = new RedisReply;
      }
      reply->type = task->type;
      return reply;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  static void* create_string(const redisReadTask* task, char* text, std::size_t size) noexcept {
    RedisReply* const reply = place(task);
    if (!reply) return nullptr;
    try {
      reply->text.assign(text, size);
    } catch (const std::bad_alloc&) {
      return give_up(task, reply);
    }
    return reply;
  }
  template <class Count>
  static void* create_array(const redisReadTask* task, Count count) noexcept {
    const auto& limits = *static_cast<const Limits*>(task->privdata);
    if (static_cast<std::size_t>(count) > limits.elements) return nullptr;
    RedisReply* const reply = place(task);
    if (!reply) return nullptr;
    try {
      reply->elements.reserve(static_cast<std::size_t>(count));  // so that none of them moves
    } catch (const std::bad_alloc&) {
      return give_up(task, reply);
    }
    return reply;
  }
  static void* create_integer(const redisReadTask* task, long long value) noexcept {
    RedisReply* const reply = place(task);
    if (reply) reply->integer = value;
    return reply;
  }
  static void* create_nil(const redisReadTask* task) noexcept {
    RedisReply* const reply = place(task);
    if (reply) reply->type = REDIS_REPLY_NIL;
    return reply;
  }
  static void* give_up(const redisReadTask* task, RedisReply* reply) noexcept {
    if (!task->parent) delete reply;
    return nullptr;
  }
  static void free_object(void* reply) noexcept { delete static_cast<RedisReply*>(reply); }

  Limits limits_;
  const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader_;
  bool is_too_long_ = false;
};

}  // namespace roost::detail
