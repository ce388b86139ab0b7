// SPDX-License-Identifier: MIT
// A chat client at the other end of a `Wire`. It has no operations of its own: it acts when it is
// given its turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "beast/support/wire.hpp"

namespace roost::test {

class WireClient {
 public:
  WireClient(std::string name, std::shared_ptr<Wire> wire)
      : name_(std::move(name)), wire_(std::move(wire)) {}

  const std::string& name() const { return name_; }
  Wire& wire() { return *wire_; }

  void send(std::string_view bytes) {
    if (!is_over()) wire_->send(bytes);
  }
  void close(std::uint16_t code) {
    send(close_frame(code));
    has_sent_close_ = true;
  }
  void vanish() {
    wire_->reset();
    end_ = "vanished";
  }
  void stop_reading() { is_reading_ = false; }
  void resume_reading() { is_reading_ = true; }

  /// Reads what is there, answers a close, and closes once the server has.
  /// @returns whether there was something to do.
  bool turn() {
    if (is_over() || !is_reading_) return false;
    const std::string got = wire_->receive();
    bytes_ += got;
    understand(got);
    if (wire_->is_reset()) {
      end_ = "reset";
    } else if (wire_->is_at_end()) {
      end_ = "end";
      wire_->shut_client();
    } else if (closed_with_ && !std::exchange(has_sent_close_, true)) {
      wire_->send(close_frame(*closed_with_));
    }
    return is_over() || !got.empty();
  }

  bool is_over() const { return !end_.empty(); }
  /// How: "end", "reset" or "vanished"; empty while it goes on.
  const std::string& end() const { return end_; }
  /// All that has come, as it came.
  const std::string& bytes() const { return bytes_; }
  /// All that has come, parsed: a line for the answer to the request, and one for each frame.
  const std::vector<std::string>& lines() const { return lines_; }
  /// Empty as long as nothing came that a server must not send.
  const std::string& error() const { return parser_.error(); }

 private:
  void understand(std::string_view bytes) {
    if (lines_.empty()) {
      const std::size_t end = bytes_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      lines_.push_back(bytes_.substr(0, bytes_.find("\r\n")));
      is_upgraded_ = lines_.front().find(" 101 ") != std::string::npos;
      bytes = std::string_view(bytes_).substr(end + 4);
    }
    if (!is_upgraded_) return;
    const std::size_t before = parser_.frames().size();
    parser_.feed(bytes);
    for (std::size_t i = before; i < parser_.frames().size(); ++i) note(parser_.frames()[i]);
  }
  void note(const ServerFrame& frame) {
    if (frame.opcode == Opcode::close) {
      closed_with_ = frame.code();
      lines_.push_back("close " + std::to_string(frame.code()) + " " + frame.reason());
    } else {
      const char* const kind = frame.opcode == Opcode::text     ? "text "
                               : frame.opcode == Opcode::binary ? "bytes "
                               : frame.opcode == Opcode::ping   ? "ping "
                                                                : "pong ";
      lines_.push_back(kind + frame.payload);
    }
  }

  std::string name_;
  std::shared_ptr<Wire> wire_;
  std::string bytes_;
  std::vector<std::string> lines_;
  FrameParser parser_;
  std::optional<std::uint16_t> closed_with_;
  bool is_reading_ = true;
  bool is_upgraded_ = false;
  bool has_sent_close_ = false;
  std::string end_;
};

}  // namespace roost::test
