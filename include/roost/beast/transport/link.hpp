// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "roost/beast/transport/channel.hpp"
#include "roost/runtime/detail/loop_clock.hpp"

namespace roost::detail {

/// The bytes of one peer over a transport. One outbox takes everything that is written to the peer,
/// HTTP and frames; reads go through the link too.
///
/// Owned by the operations under way, so that it ends with its `io_context` even if somebody keeps
/// a handle.
class Link : public Channel {
 public:
  Link(const boost::asio::any_io_executor& executor, std::unique_ptr<Transport> transport,
       const StreamOptions& options)
      : Link(Flusher::of(executor), *transport,
             LoopClock::own(executor, options, &StreamOptions::clock)) {
    owned_ = std::move(transport);
  }
  virtual ~Link() = default;

  /// Whether the peer has sent anything yet.
  [[nodiscard]] bool has_received() const noexcept { return has_received_; }

  /// Prepares the transport for the first byte, for example with a TLS handshake; then calls @p f,
  /// with an `error_code`. The function must own the owner of this link.
  template <class F>
    requires(!std::is_same_v<F, error_code>)
  void open(F f) {
    transport_.async_open(std::move(f));
  }
  /// Does what `open` with a function does, in a coroutine.
  boost::asio::awaitable<void> open(error_code& error);
  [[nodiscard]] bool needs_open() const noexcept { return transport_.needs_open(); }

  // --- writing ---

  /// Whether so much is queued that answers must wait. Else a peer that makes us answer without
  /// reading would make the outbox grow without limit.
  [[nodiscard]] bool is_congested() noexcept { return outbox().bytes() >= answers_high_water; }
  /// Calls @p f once the link is no longer congested, or everything queued now is written. If the
  /// peer takes nothing for `send_timeout` the link is aborted, and @p f is not called.
  void when_relieved(std::function<void()> f);

  bool try_flush() override;

  // --- reading ---

  /// Reads at most @p max bytes, then calls `handler(error, std::span<std::byte>)`. The bytes are
  /// valid during the call. The handler must own the owner of this link.
  template <class Handler>
  void receive(std::size_t max, Handler handler) {
    transport_.async_read(max, [this, handler = std::move(handler)](
                                   error_code error, boost::asio::mutable_buffer data) mutable {
      if (!error) note_activity();
      has_received_ = true;
      std::move(handler)(error, std::span(static_cast<std::byte*>(data.data()), data.size()));
    });
  }

  /// Puts bytes before those that `receive` will read: bytes that were read before roost had the
  /// socket, or by Beast and not used.
  void put_back(boost::asio::const_buffer bytes) {
    leftover_.insert(0, static_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::string take_leftover() noexcept {
    return std::exchange(leftover_, std::string());
  }

  // --- closing ---

  /// Flushes, shuts down our side, discards bytes until the peer closes its side, then closes.
  /// Closing earlier would lose the last bytes: unread data makes the kernel send a reset.
  static boost::asio::awaitable<void> linger(std::shared_ptr<Link> self);

 protected:
  /// @param flusher    that of the executor on which the link is used
  /// @param transport  a member of the derived class
  Link(std::shared_ptr<Flusher> flusher, Transport& transport,
       std::shared_ptr<const StreamOptions> options)
      : Channel(std::move(flusher), std::move(options)), transport_(transport) {
    outbox().coalesce_frames();
  }

 private:
  static constexpr std::size_t answers_high_water = 8'192;

  struct Relief {
    std::uint64_t end;  // position after all bytes queued so far
    std::uint64_t consumed;
    std::uint64_t taken;  // by the peer
    Clock::time_point deadline;
  };

  void wait_for_relief(Relief relief, std::function<void()> f);

  void flush() override;
  void prefetch_more() const noexcept override { prefetch<128>(&transport_); }
  /// Writes the front of the outbox.
  /// @returns whether all gathered bytes were written.
  bool write_once();
  [[nodiscard]] KernelProgress kernel_progress() const noexcept override {
    return transport_.progress();
  }
  void wait_until_writable();
  void on_deadline() noexcept override;
  void end_transport(bool abortively) noexcept override;

  /// Reads some bytes and discards them.
  boost::asio::awaitable<void> discard(error_code& error);
  boost::asio::awaitable<void> shutdown(error_code& error);

  std::shared_ptr<Link> self() { return std::static_pointer_cast<Link>(shared_from_this()); }

  Transport& transport_;
  std::unique_ptr<Transport> owned_;  // null: the derived class has the transport
  std::string leftover_;
  bool is_lingering_ = false;
  bool has_received_ = false;
};

/// A link with its transport in the same block of memory.
template <class Own>
class LinkOver final : public Link {
 public:
  /// @param arguments  those of the transport
  template <class... Arguments>
  LinkOver(std::shared_ptr<Flusher> flusher, std::shared_ptr<const StreamOptions> options,
           Arguments&&... arguments)
      : Link(std::move(flusher), own_, std::move(options)),
        own_(std::forward<Arguments>(arguments)...) {}

 private:
  Own own_;
};

/// Makes a link over a stream of the application.
template <class Stream>
std::shared_ptr<Link> make_link(const boost::asio::any_io_executor& executor, Stream&& stream,
                                const StreamOptions& options) {
  return std::make_shared<Link>(
      executor, TransportOf<Stream>::make(executor, std::forward<Stream>(stream), options),
      options);
}

/// Deleter for a `std::unique_ptr` that aborts the link unless it is released.
struct AbortLink {
  void operator()(Link* link) const noexcept { link->abort(); }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/link.ipp"
#endif
