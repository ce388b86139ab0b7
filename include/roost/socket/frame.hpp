// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost::detail {

/// The memory of all frames that a manager has sent and that somebody still holds. What many
/// recipients share counts once, and costs two steps in all, not two for each of them.
///
/// Frames may outlive their manager: the account ends with the last of both.
///
/// @par Thread safety  Any thread.
class FrameAccount {
  struct Close {
    void operator()(FrameAccount* account) const noexcept { account->subtract(owner); }
  };

 public:
  using Ptr = std::unique_ptr<FrameAccount, Close>;
  static Ptr open() { return Ptr(new FrameAccount); }

  void add(std::size_t n) noexcept { bytes_.fetch_add(n, std::memory_order_relaxed); }
  void subtract(std::size_t n) noexcept {
    if (bytes_.fetch_sub(n, std::memory_order_acq_rel) == n) delete this;
  }
  /// For the owner.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed) - owner;
  }

 private:
  static constexpr std::size_t owner = 1;  // counts as a byte, so that zero means that all are gone

  FrameAccount() = default;
  ~FrameAccount() = default;

  std::atomic<std::size_t> bytes_ = owner;
};

}  // namespace roost::detail

namespace roost {

/// The opcode of a WebSocket frame (RFC 6455, section 5.2).
enum class Opcode : std::uint8_t { text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// One message of a server, encoded once and shared by all who receive it.
///
/// A server does not mask (RFC 6455, section 5.1), so header and payload are the same bytes for
/// every recipient. Copies share them.
///
/// @par Thread safety  Distinct copies may be used from different threads.
class Frame {
 public:
  /// Encodes a whole message as a single final frame.
  /// @pre the payload of a text frame is UTF-8; that of a control frame is at most 125 bytes.
  /// @param key  under which an outbox finds it; no part of what is sent
  static Frame encode(Opcode opcode, std::span<const std::byte> payload, std::string_view key = {});
  /// The same for a string.
  static Frame encode(Opcode opcode, std::string_view payload, std::string_view key = {}) {
    return encode(opcode, std::as_bytes(std::span(payload)), key);
  }
  /// A text message.
  static Frame text(std::string_view payload, std::string_view key = {}) {
    return encode(Opcode::text, payload, key);
  }
  /// A binary message.
  static Frame binary(std::span<const std::byte> payload, std::string_view key = {}) {
    return encode(Opcode::binary, payload, key);
  }
  /// A ping; @p payload is at most 125 bytes.
  static Frame ping(std::string_view payload = {}) { return encode(Opcode::ping, payload); }

  /// A close frame. @p reason is cut to 123 bytes; a code that may not be sent becomes an empty
  /// close frame.
  static Frame close(std::uint16_t code, std::string_view reason = {});

  /// Bytes that are not one frame of ours: what Beast wrote (a handshake response).
  static Frame raw(std::size_t size) { return {0, size}; }

  /// No frame; every accessor but `operator bool` and `size` requires one.
  Frame() noexcept = default;
  /// Shares the bytes.
  Frame(const Frame& other) noexcept
      : block_(other.block_),
        begin_(other.begin_),
        header_size_(other.header_size_),
        size_(other.size_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  /// Takes the bytes over; @p other is no frame.
  Frame(Frame&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        begin_(std::exchange(other.begin_, nullptr)),
        header_size_(other.header_size_),
        size_(other.size_) {
    other.size_ = 0;
  }
  /// Shares the bytes, or takes them over.
  Frame& operator=(Frame other) noexcept {
    std::swap(block_, other.block_);
    std::swap(begin_, other.begin_);
    header_size_ = other.header_size_;
    size_ = other.size_;
    return *this;
  }
  ~Frame() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      if (block_->account) block_->account->subtract(block_->bytes);
      block_->~Block();
      ::operator delete(block_);
    }
  }

  /// Whether it is a frame.
  [[nodiscard]] explicit operator bool() const noexcept { return block_ != nullptr; }

  /// Header and payload, as they go to the wire.
  [[nodiscard]] std::span<const std::byte> wire() const noexcept { return {data(), size()}; }
  /// Bytes of header and payload.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// What the peer sees of it.
  [[nodiscard]] std::span<const std::byte> payload() const noexcept {
    return wire().subspan(header_size_);
  }
  /// The same as text.
  [[nodiscard]] std::string_view payload_text() const noexcept {
    return {reinterpret_cast<const char*>(payload().data()), payload().size()};
  }
  /// What kind of frame it is.
  [[nodiscard]] Opcode opcode() const noexcept {
    return static_cast<Opcode>(std::to_integer<std::uint8_t>(*data()) & 0x0F);
  }
  /// Under which an outbox finds it; empty: none.
  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(block_ + 1), block_->key_size};
  }
  /// The bytes, to be filled by who made a raw frame and has not shared it yet.
  [[nodiscard]] std::byte* data() noexcept { return begin_; }
  /// The bytes as they go to the wire.
  [[nodiscard]] const std::byte* data() const noexcept { return begin_; }

  /// @private Adds the memory that all copies share to @p account, until the last of them is gone.
  /// Nothing happens if it is in one already. @pre no other thread has a copy
  void charge_to(detail::FrameAccount& account) const {
    if (block_->account) return;
    account.add(block_->bytes);
    block_->account = &account;
  }

  /// @private What that comes to.
  [[nodiscard]] std::size_t charged_bytes() const noexcept {
    return block_->account ? block_->bytes : 0;
  }

  // --- frames side by side in memory, see `detail::FrameCoalescer` ---

  /// @private Whether others have some of these bytes too.
  [[nodiscard]] bool is_shared() const noexcept {
    return block_ && block_->references.load(std::memory_order_acquire) > 1;
  }
  /// @private The frame whose bytes were copied to @p offset of this one, which it shares from now
  /// on.
  [[nodiscard]] Frame slice(std::size_t offset, const Frame& copied) const noexcept {
    Frame frame(*this);
    frame.begin_ += offset;
    frame.header_size_ = copied.header_size_;
    frame.size_ = copied.size_;
    return frame;
  }
  /// @private Adds what follows in memory. @returns false if @p next is elsewhere.
  bool extend_by(const Frame& next) noexcept {
    if (block_ != next.block_ || begin_ + size_ != next.begin_) return false;
    size_ += next.size_;
    return true;
  }

 private:
  static constexpr std::uint64_t max_size = ~std::uint64_t{0} >> 4;

  // One allocation: this, the key, then the bytes.
  struct Block {
    std::atomic<std::uint32_t> references{1};
    std::uint32_t key_size;
    std::size_t bytes;  // of the allocation
    detail::FrameAccount* account = nullptr;
    Block(std::size_t key, std::size_t all) noexcept
        : key_size(static_cast<std::uint32_t>(key)), bytes(all) {}
  };

  Frame(std::size_t header_size, std::size_t payload_size, std::string_view key = {});
  static Block* allocate(std::size_t key_size, std::size_t size);

  static std::size_t encode_header(std::array<std::byte, 10>& out, Opcode opcode,
                                   std::size_t length) noexcept;

  Block* block_ = nullptr;
  std::byte* begin_ = nullptr;
  std::uint64_t header_size_ : 4 = 0;
  std::uint64_t size_ : 60 = 0;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/socket/frame.ipp"
#endif
