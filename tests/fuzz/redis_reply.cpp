// SPDX-License-Identifier: MIT
// What a Redis answers: the same however it is cut, and within the limits.
#include <roost/redis/connection/codec.hpp>

#include <string>
#include <vector>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

using detail::RedisReader;
using detail::RedisReply;

constexpr RedisReader::Limits limits{.elements = 6, .depth = 3, .bytes = 1'000'000};

void print(const RedisReply& reply, std::size_t depth, std::string& out) {
  expect(depth <= limits.depth, "arrays are nested too deep");
  expect(reply.elements.size() <= limits.elements, "an array is too long");
  out += std::to_string(reply.type) + ' ';
  if (reply.is_integer()) out += std::to_string(reply.integer);
  out += std::to_string(reply.text.size()) + ' ' + reply.text + '[';
  for (const RedisReply& element : reply.elements) print(element, depth + 1, out);
  out += ']';
}

std::string read(std::string_view bytes, Cuts cuts) {
  RedisReader reader(limits);
  std::string all;
  bool is_wrong = false;
  cuts.cut(bytes, [&](std::string_view piece) {
    if (is_wrong) return;
    reader.feed(piece);
    while (const RedisReply* reply = reader.next()) print(*reply, 0, all);
    if (reader.error().empty()) return;
    all += "error";
    is_wrong = true;
  });
  return all;
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  const unsigned seed = input.byte();
  const std::string whole = read(input.rest(), Cuts::none());
  expect(read(input.rest(), Cuts(1)) == whole, "byte by byte it is something else");
  expect(read(input.rest(), Cuts(seed)) == whole, "in pieces it is something else");
  return 0;
}
