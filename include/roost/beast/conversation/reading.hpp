// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string_type.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <boost/beast/zlib/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "roost/base/text/text.hpp"
#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/deflate.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// The executor of an operation that is composed of many steps, for an owner that wants to be there
/// at each of them: it runs the step, `run_step(f)`, and sees what has become of the stream.
///
/// Beast tells nobody that a peer has broken the protocol until that peer has closed its side, and
/// has no limit on how long that may take.
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

/// The reading side, over any stream of Beast's.
///
/// A message is read piece by piece: each is a sign of life, also of a message that takes long. A
/// piece is read in two operations. The first has no buffer: it ends when the header of a frame has
/// come. Then it is known what the second needs: for a compressed message more than can come out of
/// what one operation takes in. For before Boost 1.90 Beast inflates wrongly when a buffer is full
/// and not all has come out: it feeds the end of the message twice.
template <class Stream>
class Reading : public Conversation {
 public:
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  void set_max_message_bytes(std::size_t n) override { max_message_bytes_ = n; }

  void start() override {
    stream_.control_callback(
        [this](boost::beast::websocket::frame_type type, boost::beast::string_view reason) {
          on_control(type, reason);
        });
    read_header();
  }

  /// One step of a read, or of a close.
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
    // Beast's own timeouts differ between its versions: roost's are on the injected clock.
    stream_.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                       websocket::stream_base::none(), false});
    stream_.auto_fragment(false);
    stream_.read_message_max(0);  // Beast's error is lost where TLS does not end in order
    set_max_message_bytes(this->channel_->options().max_message_bytes);
  }

  /// Whether the peer broke a rule: Beast tells it so, and waits until it closes its side.
  [[nodiscard]] bool is_failing() const noexcept { return is_failing_; }
  /// The peer is not waited for any longer.
  void give_up() {
    end(how_it_failed(boost::asio::error::operation_aborted));
    channel_->close();
  }
  /// Where Beast closes by itself it writes nothing more, and the peer has still to be told.
  void on_write_failed() {
    if (!is_failing_) channel_->abort();
  }
  /// Begins to write what is queued, if nothing is being written.
  virtual void flush_now() = 0;
  [[nodiscard]] virtual bool is_writing() const noexcept = 0;

  Stream stream_;

 private:
  /// Thrown through Beast's read when a close frame has come: it ends there, and does not answer
  /// the close before what is queued has left.
  struct PeerCloses {};

  [[nodiscard]] auto self() { return std::static_pointer_cast<Reading>(shared_from_this()); }
  template <class Handler>
  [[nodiscard]] auto in_steps(Handler handler) {
    return boost::asio::bind_executor(StepExecutor<Reading>(channel_->get_executor(), self()),
                                      std::move(handler));
  }

  // --- pieces ---

  /// Until a frame has begun that is not looked at yet.
  void read_header() {
    is_in_payload_ = false;
    is_first_ = stream_.is_message_done();
    // Not a null pointer: Beast looks for the end of what it has not read by subtracting from it.
    static std::array<char, 16> nothing;
    stream_.async_read_some(boost::asio::mutable_buffer(&nothing[8], 0),
                            in_steps([this, self = self()](error_code error, std::size_t) {
                              if (error) return on_read_failed(error);
                              if (is_finishing_) return;
                              // Not a sign of life for itself: what has come with it is one.
                              if (!stream_.is_message_done()) {
                                return is_refused() ? void() : read_payload();
                              }
                              channel_->note_activity();
                              // Beast looks at the end of a text only if its last frame is not
                              // empty.
                              if (stream_.got_text() && !is_utf8(message_)) {
                                return refuse(close_code::invalid_payload);
                              }
                              on_read();
                            }));
    look_at_stream();
  }

  /// A frame has begun: whether what its header says is refused.
  bool is_refused() {
    const std::uint64_t size = stream_.read_size_hint(1);  // of its payload
    if (size >> 63U != 0) {                                // RFC 6455, section 5.2
      refuse(close_code::protocol_error);
    } else if (max_message_bytes_ > 0 && size > most_of_frame(size)) {
      refuse(close_code::message_too_big);
    }
    return is_finishing_;
  }

  /// What a frame may have, as far as its header tells. More than the limit is found later.
  [[nodiscard]] std::size_t most_of_frame(std::uint64_t size) const {
    constexpr std::size_t huge = static_cast<std::size_t>(-1) / 2;
    const bool is_plain_and_last = size < huge && stream_.read_size_hint(huge) == size;
    return is_plain_and_last ? max_message_bytes_ - std::min(max_message_bytes_, message_.size())
                             : max_deflated_bytes(max_message_bytes_);
  }

  /// @pre a frame has begun, and is not read to its end
  void read_payload() {
    is_in_payload_ = true;
    const std::size_t size = next_piece();
    // Uninitialised: most of it is not used.
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

  /// Whether it is certain that more of this frame is to come.
  [[nodiscard]] bool is_frame_under_way() const { return stream_.read_size_hint(1) > 1; }

  /// How large a buffer must be so that it does not become full, or that it does not matter.
  [[nodiscard]] std::size_t next_piece() const {
    // Beast knows how much is to come if that is not compressed, and the end of the message.
    const std::size_t exact = stream_.read_size_hint(largest_hint);
    if (exact < largest_hint) return std::min(exact, largest_piece);
    // One operation takes at most this much in, what Beast had already and what it reads; each byte
    // becomes at most 1032, when two bits stand for 258.
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
    // Nothing is read until it is taken. Whoever waits for it does so immediately.
    when_notified(space_, channel_->get_executor(), channel_->clock(), Timer::never(),
                  [this, self = self()](bool) { go_on(patience); });
    inbox_->receiver.wake();
  }

  /// Reads the next message. What was answered to the one before leaves first, unless it takes
  /// long: the next may be one after which Beast sends nothing more.
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
    end(peer_closed());  // we have closed as well
  }

  /// Beast reads no more. What is queued leaves, then the answer.
  void on_peer_closes() {
    const Disconnect how = peer_closed();
    // Beast takes codes above 4999.
    const bool is_code = how.code == close_code::no_status || close_code::may_be_sent(how.code);
    is_code ? finish(how) : refuse(close_code::protocol_error);
  }

  /// The peer broke a rule that Beast does not look at.
  void refuse(std::uint16_t code) {
    std::string().swap(message_);
    finish({.reason = code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                          : DisconnectReason::protocol_error,
            .code = code,
            .text = {}});
  }

  /// What is queued leaves, then a close frame.
  void finish(const Disconnect& how) {
    is_finishing_ = true;
    const StreamOptions& options = channel_->options();
    if (!channel_->has_deadline()) {
      channel_->set_flush_deadline(options.send_timeout, options.linger_timeout);
    }
    channel_->send_close(Frame::close(how.code));  // unless one is sent already
    end(how);
    if (!channel_->is_down()) flush_now();
  }

  /// Beast closes by itself if the peer breaks a rule, and waits for it then.
  void look_at_stream() {
    if (is_failing_ || has_ended() || channel_->is_down()) return;
    if (stream_.is_open()) {
      // Beast waits for the first byte of a payload.
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
    end(how_it_failed(error));
    if (!can_tell || channel_->is_down()) return channel_->close();
    is_failing_ = true;
    is_finishing_ = true;
    channel_->outbox().seal();
    channel_->set_deadline(channel_->options().linger_timeout);
    tell(Frame::close(close_code::invalid_payload));
  }

  /// Beast has ended a stream that it could not inflate, without telling the peer.
  void tell(const Frame& frame) {
    boost::asio::async_write(stream_.next_layer(), boost::asio::buffer(frame.data(), frame.size()),
                             [this, frame, self = self()](error_code error, std::size_t) {
                               error ? channel_->close() : discard();
                             });
  }
  /// Until the peer closes its side: closing while it still sends would throw away the last frame.
  void discard() {
    auto piece = std::make_unique<std::array<char, largest_intake>>();
    const auto buffer = boost::asio::buffer(*piece);
    stream_.next_layer().async_read_some(
        buffer, [this, self = self(), piece = std::move(piece)](error_code error, std::size_t) {
          error ? channel_->close() : discard();
        });
  }

  [[nodiscard]] Disconnect how_it_failed(error_code error) const {
    namespace websocket = boost::beast::websocket;
    if (error == websocket::error::closed) return peer_closed();
    const bool is_inflating = error.category() == inflating_category();
    const bool is_against_rules = error == websocket::condition::protocol_violation;
    if (!is_failing_ && !is_inflating && !is_against_rules) return {};  // the network
    // Beast's error is lost where the peer has not closed its side in an orderly way. In the
    // payload of a text there is one rule to break.
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
  static constexpr std::size_t largest_intake = 4'096;  // twice the buffer of Beast, and more
  static constexpr int patience = 16;
  std::size_t max_message_bytes_ = 0;
  std::string message_;   // in the making
  bool is_first_ = true;  // the frame that is waited for, or being read, is the first of a message
  bool is_in_payload_ = false;
  bool is_failing_ = false;
};

}  // namespace roost::detail
