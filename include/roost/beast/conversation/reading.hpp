// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string_type.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <boost/beast/zlib/error.hpp>

#include "roost/base/text/text.hpp"
#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/deflate.hpp"

namespace roost::detail {

/// An executor for an operation that is composed of many steps. It calls the owner's `run_step(f)`
/// for each step, which runs the step and then looks at the stream.
///
/// This is needed because Beast reports a peer that broke the protocol only once that peer has
/// closed its side, without a limit on how long that may take.
template <class Owner>
class StepExecutor {
 public:
  StepExecutor(boost::asio::any_io_executor inner, std::shared_ptr<Owner> owner) noexcept
      : inner_(std::move(inner)), owner_(std::move(owner)) {}

  template <class Function>
  void execute(Function f) const {
    inner_.execute([owner = owner_, f = std::move(f)]() mutable { owner->run_step(std::move(f)); });
  }

  template <class Property>
    requires(boost::asio::can_query<const boost::asio::any_io_executor&, Property>::value)
  auto query(const Property& property) const {
    return boost::asio::query(inner_, property);
  }
  template <class Property>
    requires(boost::asio::can_require<const boost::asio::any_io_executor&, Property>::value)
  StepExecutor require(const Property& property) const {
    return {boost::asio::require(inner_, property), owner_};
  }
  template <class Property>
    requires(boost::asio::can_prefer<const boost::asio::any_io_executor&, Property>::value &&
             !boost::asio::can_require<const boost::asio::any_io_executor&, Property>::value)
  StepExecutor prefer(const Property& property) const {
    return {boost::asio::prefer(inner_, property), owner_};
  }

  bool operator==(const StepExecutor& other) const noexcept {
    return inner_ == other.inner_ && owner_ == other.owner_;
  }
  bool operator!=(const StepExecutor& other) const noexcept { return !(*this == other); }

 private:
  boost::asio::any_io_executor inner_;
  std::shared_ptr<Owner> owner_;
};

/// The reading side of a conversation, over any stream of Beast.
///
///   start_reading
///       v
///   .--> read_header <--.   until a frame has begun
///   |    v   v          |
///   |    |   read_payload   piece by piece, until the frame or the message is complete
///   |    v   v
///   |   on_read             until the message is taken
///   |    v
///   '-- go_on               until the answers to it are flushed, for some turns at most
///
///   on_peer_closes          the peer has closed                -------> finish
///   refuse                  it broke a rule that roost checks  -------> finish: flush, then close
///   look_at_stream          it broke a rule that Beast checks, and Beast has closed: is_failing_
///   on_read_failed          the stream is over, and so is the channel; but if it could not be
///                           inflated -> tell -> discard
///
/// The last four end the conversation. While the peer has still to do something, `is_finishing_` is
/// set, and `WrappedConversation::on_deadline` limits the time.
///
/// A message is read in pieces, so that each piece of a long message counts as activity. A piece
/// takes two operations. The first has an empty buffer, and ends when the header of a frame has
/// arrived. With the header the size of the second one's buffer is known: for a compressed message
/// it must hold more than one operation can produce. Before Boost 1.90 Beast inflates wrongly if
/// the buffer is full while output is pending: it feeds the end of the message twice.
template <class Stream>
class Reading : public Conversation {
 public:
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  void set_max_message_bytes(std::size_t n) override { max_message_bytes_ = n; }

  void start_reading() override {
    stream_.control_callback(
        [this](boost::beast::websocket::frame_type type, boost::beast::string_view reason) {
          on_control(type, reason);
        });
    read_header();
  }

  /// Runs one step of a read or of a close.
  template <class Function>
  void run_step(Function step) {
    try {
      step();
    } catch (const PeerCloses&) {
      return on_peer_closes();
    }
    look_at_stream();
  }

 protected:
  template <class... Arguments>
  explicit Reading(std::shared_ptr<Channel> channel, Arguments&&... arguments)
      : Conversation(std::move(channel)), stream_(std::forward<Arguments>(arguments)...) {
    namespace websocket = boost::beast::websocket;
    // Beast's own timeouts differ between its versions. roost's timeouts use the injected clock.
    stream_.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                       websocket::stream_base::none(), false});
    stream_.auto_fragment(false);
    stream_.read_message_max(0);  // no limit: its error may get lost over TLS
    set_max_message_bytes(this->channel_->options().max_message_bytes);
  }

  /// Whether the peer broke a rule: Beast has closed, and waits until the peer closes its side.
  [[nodiscard]] bool is_failing() const noexcept { return is_failing_; }
  /// Stops waiting for the peer.
  void give_up() {
    inbox_->end(how_it_failed(boost::asio::error::operation_aborted));
    channel_->end();
  }
  /// Aborts the channel after a failed write. If Beast itself is closing the stream it refuses
  /// writes, but the peer has still to get Beast's close frame.
  void on_write_failed() {
    if (!is_failing_) channel_->abort();
  }
  /// Begins to write the queue, unless a write is under way.
  virtual void flush_now() = 0;
  [[nodiscard]] virtual bool is_writing() const noexcept = 0;

  Stream stream_;

 private:
  /// Thrown through Beast's read when a close frame has arrived. It ends the read, so that Beast
  /// does not answer the close frame before the queue is flushed.
  struct PeerCloses {};

  [[nodiscard]] auto self() { return std::static_pointer_cast<Reading>(shared_from_this()); }
  template <class Handler>
  [[nodiscard]] auto in_steps(Handler handler) {
    return boost::asio::bind_executor(StepExecutor<Reading>(channel_->get_executor(), self()),
                                      std::move(handler));
  }

  // --- pieces ---

  /// Reads until a new frame has begun.
  void read_header() {
    is_in_payload_ = false;
    is_first_ = stream_.is_message_done();
    // The empty buffer must not be null: Beast computes an address before its end by subtraction.
    static std::array<char, 16> nothing;
    stream_.async_read_some(boost::asio::mutable_buffer(&nothing[8], 0),
                            in_steps([this, self = self()](error_code error, std::size_t) {
                              if (error) return on_read_failed(error);
                              if (is_finishing_) return;
                              // A header alone is not activity; the bytes after it are.
                              if (!stream_.is_message_done()) {
                                return is_refused() ? void() : read_payload();
                              }
                              channel_->note_activity();
                              // Beast checks the end of a text only if the last frame is not empty.
                              if (stream_.got_text() && !is_utf8(message_)) {
                                return refuse(close_code::invalid_payload);
                              }
                              on_read();
                            }));
    look_at_stream();
  }

  /// Whether the frame that has begun is refused because of its header.
  bool is_refused() {
    const std::uint64_t size = stream_.read_size_hint(1);  // of its payload
    if (size >> 63U != 0) {                                // RFC 6455, section 5.2
      refuse(close_code::protocol_error);
    } else if (max_message_bytes_ > 0 && size > most_of_frame(size)) {
      refuse(close_code::message_too_big);
    }
    return is_finishing_;
  }

  /// The largest payload that a frame may have according to its header. A message over the limit
  /// may be found later.
  [[nodiscard]] std::size_t most_of_frame(std::uint64_t size) const {
    constexpr std::size_t huge = static_cast<std::size_t>(-1) / 2;
    const bool is_plain_and_last = size < huge && stream_.read_size_hint(huge) == size;
    return is_plain_and_last ? max_message_bytes_ - std::min(max_message_bytes_, message_.size())
                             : max_deflated_bytes(max_message_bytes_);
  }

  /// Reads a piece of a frame.
  /// @pre a frame has begun, and is not complete
  void read_payload() {
    is_in_payload_ = true;
    const std::size_t size = next_piece();
    // Not initialised: most of it is not used.
    std::unique_ptr<char[]> piece(new char[size]);
    const boost::asio::mutable_buffer buffer(piece.get(), size);
    auto done = [this, self = self(), piece = std::move(piece)](error_code error, std::size_t n) {
      if (error) return on_read_failed(error);
      if (is_finishing_) return;
      channel_->note_activity();
      message_.append(piece.get(), n);
      if (max_message_bytes_ > 0 && message_.size() > max_message_bytes_) {
        return refuse(close_code::message_too_big);
      }
      if (stream_.is_message_done()) return on_read();
      is_frame_under_way() ? read_payload() : read_header();
    };
    stream_.async_read_some(buffer, in_steps(std::move(done)));
    look_at_stream();
  }

  /// Whether more bytes of this frame are certain to arrive.
  [[nodiscard]] bool is_frame_under_way() const { return stream_.read_size_hint(1) > 1; }

  /// The size of a buffer that does not become full, unless that is harmless.
  [[nodiscard]] std::size_t next_piece() const {
    // Beast knows how much is left if it is not compressed, and at the end of the message.
    const std::size_t exact = stream_.read_size_hint(largest_hint);
    if (exact < largest_hint) return std::min(exact, largest_piece);
    // An upper bound on the input of one operation: what Beast has buffered and what it reads.
    // Deflate expands each byte to 1032 at most, when two bits stand for 258.
    const std::size_t taken_in = std::min(stream_.read_size_hint(1), largest_intake);
    const std::size_t most = (taken_in + 16) * 1032;
    if (max_message_bytes_ == 0 || max_message_bytes_ < message_.size()) return most;
    return std::min(most, max_message_bytes_ - message_.size() + 1);  // more is refused
  }

  // --- messages ---

  void on_read() {
    if (is_discarding_) {
      message_.clear();
      return read_header();
    }
    inbox_->message =
        Message{.is_text = stream_.got_text(), .payload = std::exchange(message_, std::string())};
    // Nothing is read until the message is taken.
    when_notified(space_, channel_->get_executor(), channel_->clock(), Timer::never(),
                  [this, self = self()](bool) { go_on(patience); });
    inbox_->receiver.wake();
  }

  /// Reads the next message. Answers to the last message are flushed first, unless that takes long:
  /// after the next message Beast may refuse to send.
  void go_on(int turns) {
    if (channel_->is_down()) return;
    flush_now();
    if (channel_->is_down()) return;
    if (turns == 0 || channel_->outbox().empty()) return read_header();
    boost::asio::post(channel_->get_executor(), [this, self = self(), turns] { go_on(turns - 1); });
  }

  // --- the end ---

  void on_control(boost::beast::websocket::frame_type type, boost::beast::string_view payload) {
    channel_->note_activity();
    if (type == boost::beast::websocket::frame_type::pong) {
      inbox_->pong({payload.data(), payload.size()});
    }
    if (type != boost::beast::websocket::frame_type::close) return;
    if (stream_.is_open()) throw PeerCloses();
    inbox_->end(peer_closed());  // we have closed as well
  }

  /// Called when the peer has closed. Beast reads no more; the queue is flushed, then the close
  /// frame is answered.
  void on_peer_closes() {
    const Disconnect how = peer_closed();
    // Beast accepts codes above 4999.
    const bool is_code = how.code == close_code::no_status || close_code::may_be_sent(how.code);
    is_code ? finish(how) : refuse(close_code::protocol_error);
  }

  /// Closes because the peer broke a rule that Beast does not check.
  void refuse(std::uint16_t code) {
    std::string().swap(message_);
    finish({.reason = code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                          : DisconnectReason::protocol_error,
            .code = code,
            .text = {}});
  }

  /// Flushes the queue, then sends a close frame.
  void finish(const Disconnect& how) {
    is_finishing_ = true;
    const StreamOptions& options = channel_->options();
    if (!channel_->has_deadline()) {
      channel_->set_flush_deadline(options.send_timeout, options.linger_timeout);
    }
    channel_->send_close(Frame::close(how.code));  // unless one was sent already
    inbox_->end(how);
    if (!channel_->is_down()) flush_now();
  }

  /// Checks whether Beast has closed the stream because the peer broke a rule; if so, sets a
  /// deadline.
  void look_at_stream() {
    if (is_failing_ || has_ended() || channel_->is_down()) return;
    if (stream_.is_open()) {
      // Beast waits for the first byte of a payload; its header can be checked now.
      const bool has_begun = is_first_ && !is_in_payload_ && !stream_.is_message_done();
      if (has_begun) static_cast<void>(is_refused());
      return;
    }
    is_failing_ = true;
    is_finishing_ = true;
    channel_->set_deadline(channel_->options().linger_timeout);
  }

  void on_read_failed(error_code error) {
    const bool can_tell = error.category() == inflating_category() && !has_ended() && !is_writing();
    inbox_->end(how_it_failed(error));
    if (!can_tell || channel_->is_down()) return channel_->end();
    is_failing_ = true;
    is_finishing_ = true;
    channel_->outbox().seal();
    channel_->set_deadline(channel_->options().linger_timeout);
    tell(Frame::close(close_code::invalid_payload));
  }

  /// Sends a close frame to the peer: Beast has ended a stream that it could not inflate, and has
  /// not told the peer.
  void tell(const Frame& frame) {
    boost::asio::async_write(stream_.next_layer(), boost::asio::buffer(frame.data(), frame.size()),
                             [this, frame, self = self()](error_code error, std::size_t) {
                               error ? channel_->end() : discard();
                             });
  }
  /// Discards what the peer sends until it closes its side: closing earlier would lose the last
  /// frame.
  void discard() {
    auto piece = std::make_unique<std::array<char, largest_intake>>();
    const auto buffer = boost::asio::buffer(*piece);
    stream_.next_layer().async_read_some(
        buffer, [this, self = self(), piece = std::move(piece)](error_code error, std::size_t) {
          error ? channel_->end() : discard();
        });
  }

  [[nodiscard]] Disconnect how_it_failed(error_code error) const {
    namespace websocket = boost::beast::websocket;
    if (error == websocket::error::closed) return peer_closed();
    const bool is_inflating = error.category() == inflating_category();
    const bool is_against_rules = error == websocket::condition::protocol_violation;
    if (!is_failing_ && !is_inflating && !is_against_rules) return {};  // the network failed
    // Beast's error gets lost if the peer does not close its side properly. In the payload of a
    // text the only rule to break is UTF-8.
    const bool is_payload = is_inflating || error == websocket::error::bad_frame_payload ||
                            (!is_against_rules && is_in_payload_);
    return {.reason = DisconnectReason::protocol_error,
            .code = is_payload ? close_code::invalid_payload : close_code::protocol_error,
            .text = {}};
  }
  static const boost::system::error_category& inflating_category() {
    return make_error_code(boost::beast::zlib::error::stream_error).category();
  }

  [[nodiscard]] Disconnect peer_closed() const {
    const auto& reason = stream_.reason();
    return {.reason = DisconnectReason::peer_closed,
            .code = reason.code == 0 ? close_code::no_status : reason.code,
            .text = std::string(reason.reason.data(), reason.reason.size())};
  }

  static constexpr std::size_t largest_hint = 1'048'576;
  static constexpr std::size_t largest_piece = 65'536;
  static constexpr std::size_t largest_intake = 4'096;  // more than twice Beast's buffer
  static constexpr int patience = 16;
  std::size_t max_message_bytes_ = 0;
  std::string message_;   // being received
  bool is_first_ = true;  // whether the frame being read is the first of a message
  bool is_in_payload_ = false;
  bool is_failing_ = false;
};

}  // namespace roost::detail
