// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/beast/zlib/error.hpp>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <boost/beast/zlib/zlib.hpp>

#include "roost/beast/conversation/deflate.hpp"

namespace roost::detail {

// The end of each compressed message, which is left out on the wire (RFC 7692, section 7.2.1).
inline constexpr std::string_view deflate_tail{"\x00\x00\xFF\xFF", 4};

ROOST_DECL Frame deflated(const Frame& frame, DeflateForm form) {
  namespace zlib = boost::beast::zlib;
  const bool is_message = frame.opcode() == Opcode::text || frame.opcode() == Opcode::binary;
  const auto payload = frame.payload();
  if (!is_message || payload.empty() || payload.size() < form.min_bytes) return frame;
  // No more space than for the message itself: if that is not enough, the message is sent as it is.
  std::string out(payload.size() + deflate_tail.size(), '\0');
  zlib::z_params io;
  io.next_in = payload.data();
  io.avail_in = payload.size();
  io.next_out = out.data();
  io.avail_out = out.size();
  constexpr int memory_level = 8;
  static thread_local zlib::deflate_stream stream;  // large, and used for one message at a time
  stream.reset(static_cast<int>(form.level), static_cast<int>(form.window_bits), memory_level,
               zlib::Strategy::normal);
  boost::beast::error_code error;
  stream.write(io, zlib::Flush::sync, error);
  if (error || io.avail_in > 0 || io.avail_out == 0) return frame;
  const std::size_t size = out.size() - io.avail_out - deflate_tail.size();
  if (size >= payload.size()) return frame;
  constexpr std::byte compressed_bit{0x40};
  Frame compressed =
      Frame::encode(frame.opcode(), std::string_view(out).substr(0, size), frame.key());
  compressed.data()[0] |= compressed_bit;
  return compressed;
}

inline constexpr std::size_t largest_window = 32'768;

/// Resets the stream as if it had just produced @p context, which is fed to it as a stored block
/// (RFC 1951, section 3.2.4); the output is discarded.
ROOST_DECL void restart(boost::beast::zlib::inflate_stream& stream, std::string_view context) {
  stream.reset(15);
  if (context.empty()) return;
  const auto size = static_cast<std::uint16_t>(context.size());
  const auto inverse = static_cast<std::uint16_t>(~size);
  const auto byte = [](unsigned n) { return static_cast<char>(n & 0xFFU); };
  std::string block{0, byte(size), byte(size >> 8U), byte(inverse), byte(inverse >> 8U)};
  block += context;
  std::array<char, 4'096> ignored;
  boost::beast::zlib::z_params io;
  io.next_in = block.data();
  io.avail_in = block.size();
  boost::beast::error_code error;
  while (io.avail_in > 0 && !error) {
    io.next_out = ignored.data();
    io.avail_out = ignored.size();
    stream.write(io, boost::beast::zlib::Flush::sync, error);
  }
}

/// Appends @p more, and keeps only as much as a message can refer to.
ROOST_DECL void keep_end(std::string& context, std::string_view more) {
  if (more.size() > largest_window) more.remove_prefix(more.size() - largest_window);
  const std::size_t size = context.size() + more.size();
  if (size > largest_window) context.erase(0, size - largest_window);
  context += more;
}

/// Resets the stream after a final block, which may stand in the middle of a message (RFC 7692,
/// section 7.2.3.4). The context then includes the output @p out so far.
ROOST_DECL void restart(boost::beast::zlib::inflate_stream& stream, const std::string* context,
                        std::string_view out) {
  if (!context) return stream.reset(15);
  std::string both = *context;
  keep_end(both, out);
  restart(stream, both);
}

ROOST_DECL Inflated inflate_message(std::string& deflated, std::string& out,
                                    std::size_t max_message_bytes, const std::string* context) {
  namespace zlib = boost::beast::zlib;
  deflated += deflate_tail;
  static thread_local zlib::inflate_stream stream;  // large, and used for one message at a time
  restart(stream, context, {});
  std::array<char, 16'384> piece;
  constexpr int at_end_of_block = 128;  // of `data_type`
  bool is_complete = false;
  zlib::z_params io;
  io.next_in = deflated.data();
  io.avail_in = deflated.size();
  while (true) {
    io.next_out = piece.data();
    io.avail_out = piece.size();
    boost::beast::error_code error;
    stream.write(io, zlib::Flush::sync, error);
    const std::size_t n = piece.size() - io.avail_out;
    if (max_message_bytes > 0 && n > max_message_bytes - out.size()) return Inflated::too_big;
    out.append(piece.data(), n);
    // Without progress `data_type` says nothing new.
    if (error != zlib::error::need_buffers) is_complete = (io.data_type & at_end_of_block) != 0;
    if (error == zlib::error::end_of_stream) {
      // The tail follows the last block.
      if (io.avail_in == deflate_tail.size()) return Inflated::whole;
      if (io.avail_in < deflate_tail.size()) return Inflated::malformed;
      restart(stream, context, out);
    } else if (error && error != zlib::error::need_buffers) {
      return Inflated::malformed;
    } else if (io.avail_out > 0) {
      return is_complete && io.avail_in == 0 ? Inflated::whole : Inflated::malformed;
    }
  }
}

ROOST_DECL Inflated inflate(std::string& deflated, std::string& out, std::size_t max_message_bytes,
                            std::string* context) {
  const Inflated result = inflate_message(deflated, out, max_message_bytes, context);
  if (context && result == Inflated::whole) keep_end(*context, out);
  return result;
}

}  // namespace roost::detail
