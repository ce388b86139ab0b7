// SPDX-License-Identifier: MIT
#pragma once

#include <hiredis/hiredis.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/clock.hpp"

namespace roost::detail {

/// One reply of Redis.
struct RedisReply {
  int type = REDIS_REPLY_NIL;
  long long integer = 0;  ///< The value of an integer.
  std::string text = {};  ///< The text of a string, a status or an error.
  std::vector<RedisReply> elements = {};

  [[nodiscard]] bool is_error() const noexcept { return type == REDIS_REPLY_ERROR; }
  [[nodiscard]] bool is_integer() const noexcept { return type == REDIS_REPLY_INTEGER; }
};

/// Appends a header that says how many elements or bytes follow.
inline void append_count(std::string& out, char kind, std::size_t count) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, count);
  out += kind;
  out.append(digits, end).append("\r\n");
}

// Encodes commands in the protocol of Redis. (hiredis formats commands with `sprintf` into memory
// of its own, which takes a seventh of a publisher's time.)

inline void append_argument(std::string& out, std::string_view first, std::string_view rest = {}) {
  append_count(out, '$', first.size() + rest.size());
  out.append(first).append(rest).append("\r\n");
}
inline void append_command(std::string& out, std::span<const std::string_view> arguments) {
  append_count(out, '*', arguments.size());
  for (const std::string_view argument : arguments) append_argument(out, argument);
}
inline void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
  append_command(out, std::span(arguments.begin(), arguments.size()));
}

/// A time in milliseconds, as Redis and the replicas tell each other.
[[nodiscard]] inline std::int64_t to_ms(Clock::duration time) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}
[[nodiscard]] inline std::string to_ms_text(Clock::duration time) {
  return std::to_string(to_ms(time));
}

/// Parses bytes into replies. A reply that Redis would not send is rejected before memory is
/// allocated for it.
class RedisReader {
 public:
  struct Limits {
    std::size_t elements = 64;                  ///< Limit on an array.
    std::size_t depth = 8;                      ///< Limit on nested arrays.
    std::size_t bytes = std::size_t{64} << 20;  ///< Limit on one string.
  };

  RedisReader() : RedisReader(Limits()) {}
  explicit RedisReader(Limits limits)
      : limits_(limits), reader_(redisReaderCreateWithFunctions(&functions()), &redisReaderFree) {
    if (!reader_) throw std::bad_alloc();
    reader_->maxbuf = 262'144;  // kept while empty: else each feed allocates it
    reader_->privdata = this;   // hiredis 0.14 has a macro that is invalid in C++
  }
  RedisReader(const RedisReader&) = delete;
  RedisReader& operator=(const RedisReader&) = delete;

  /// Appends bytes from the socket. Pieces of some KiB are best: hiredis moves the rest of its
  /// buffer to the front after every few replies.
  void feed(std::string_view bytes) { redisReaderFeed(reader_.get(), bytes.data(), bytes.size()); }

  /// The next reply, valid until the next call. Null if it is not complete yet, or after an
  /// `error()`.
  [[nodiscard]] RedisReply* next() {
    void* reply = nullptr;
    redisReaderGetReply(reader_.get(), &reply);
    if (reply) return &reply_;
    is_too_long_ = reader_->len - reader_->pos > limits_.bytes;
    return nullptr;
  }

  /// Why no more can be read; empty as long as more can.
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
      f.createArray = &create_array;  // hiredis passes an int or a size_t
      f.createInteger = &create_integer;
      f.createNil = &create_nil;
      f.freeObject = [](void*) {};  // the reader owns all replies
      refuse_others(f);
      return f;
    }();
    return table;
  }
  // Types of RESP3, which is never requested from Redis; hiredis has them since 1.0.
  template <class Functions>
  static void refuse_others(Functions& f) {
    if constexpr (requires { f.createDouble = nullptr; }) {
      f.createDouble = [](const redisReadTask*, double, char*, std::size_t) -> void* {
        return nullptr;
      };
      f.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
    }
  }

  // The reply object for the value of a task: an element of its array, or the top level. These
  // objects are reused.
  static RedisReply& place(const redisReadTask* task) noexcept {
    RedisReply& reply = task->parent ? static_cast<RedisReply*>(task->parent->obj)
                                           ->elements[static_cast<std::size_t>(task->idx)]
                                     : static_cast<RedisReader*>(task->privdata)->reply_;
    reply.type = task->type;
    reply.text.clear();
    return reply;
  }
  static RedisReply& place_of_one(const redisReadTask* task) noexcept {
    RedisReply& reply = place(task);
    reply.elements.clear();
    return reply;
  }
  // No exception may pass through hiredis, which takes null for a lack of memory.
  static void* create_string(const redisReadTask* task, char* text, std::size_t size) noexcept try {
    RedisReply& reply = place_of_one(task);
    reply.text.assign(text, size);
    return &reply;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  template <class Count>
  static void* create_array(const redisReadTask* task, Count count) noexcept try {
    const Limits& limits = static_cast<RedisReader*>(task->privdata)->limits_;
    const auto size = static_cast<std::size_t>(count);
    if (size > limits.elements || depth_of(task) > limits.depth) return nullptr;
    RedisReply& reply = place(task);
    reply.elements.resize(size);  // not resized again: none of them moves
    return &reply;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  static std::size_t depth_of(const redisReadTask* task) noexcept {
    std::size_t depth = 0;
    for (; task; task = task->parent) ++depth;
    return depth;
  }
  static void* create_integer(const redisReadTask* task, long long value) noexcept {
    RedisReply& reply = place_of_one(task);
    reply.integer = value;
    return &reply;
  }
  static void* create_nil(const redisReadTask* task) noexcept {
    RedisReply& reply = place_of_one(task);
    reply.type = REDIS_REPLY_NIL;  // the task reads a string or an array
    return &reply;
  }

  const Limits limits_;
  RedisReply reply_;
  const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader_;
  bool is_too_long_ = false;
};

}  // namespace roost::detail
