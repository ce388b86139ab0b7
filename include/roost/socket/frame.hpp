// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost::detail {

/// Counts the memory of all frames that a manager has sent and that are still referenced. A frame
/// that many recipients share counts once and is added and subtracted once, not once per recipient.
///
/// Frames may outlive their manager: the account is deleted when the manager and all frames are
/// gone.
///
/// @par Thread safety  Any thread may call any member.
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
  /// Returns the bytes of all frames. Only the owner may call this.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed) - owner;
  }

 private:
  static constexpr std::size_t owner = 1;  // counts as a byte: 0 means that all are gone

  FrameAccount() = default;
  ~FrameAccount() = default;

  std::atomic<std::size_t> bytes_ = owner;
};

}  // namespace roost::detail

namespace roost {

/// The opcode of a WebSocket frame (RFC 6455, section 5.2).
enum class Opcode : std::uint8_t { text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// One outbound message, encoded once and shared by all recipients.
///
/// Servers do not mask frames (RFC 6455, section 5.1), so header and payload are the same bytes for
/// every recipient. Copies of a `Frame` share them.
///
/// @par Thread safety  Distinct copies may be used from different threads.
class Frame {
 public:
  /// Encodes a whole message as a single final frame.
  /// @pre the payload of a text frame is UTF-8; that of a control frame is at most 125 bytes.
  /// @param key  identifies the frame in an outbox, so that a later one can replace it; it is not
  ///             sent
  static Frame encode(Opcode opcode, std::span<const std::byte> payload, std::string_view key = {});
  /// Encodes a string as a single final frame.
  static Frame encode(Opcode opcode, std::string_view payload, std::string_view key = {}) {
    return encode(opcode, std::as_bytes(std::span(payload)), key);
  }
  /// Encodes a text message.
  static Frame text(std::string_view payload, std::string_view key = {}) {
    return encode(Opcode::text, payload, key);
  }
  /// Encodes a binary message.
  static Frame binary(std::span<const std::byte> payload, std::string_view key = {}) {
    return encode(Opcode::binary, payload, key);
  }
  /// Encodes a ping; @p payload is at most 125 bytes.
  static Frame ping(std::string_view payload = {}) { return encode(Opcode::ping, payload); }

  /// Encodes a close frame. @p reason is cut to 123 bytes. If @p code may not be sent, the frame
  /// has no payload.
  static Frame close(std::uint16_t code, std::string_view reason = {});

  /// Makes @p size bytes that are not an encoded frame, such as a handshake response, to be filled
  /// in through `data`.
  static Frame raw(std::size_t size) { return {0, size}; }

  /// Makes an object without a frame. Only `operator bool` and `size` may be called on it.
  Frame() noexcept = default;
  /// Shares the bytes of @p other.
  Frame(const Frame& other) noexcept
      : block_(other.block_),
        begin_(other.begin_),
        header_size_(other.header_size_),
        size_(other.size_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  /// Takes over the bytes of @p other, which then holds no frame.
  Frame(Frame&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        begin_(std::exchange(other.begin_, nullptr)),
        header_size_(other.header_size_),
        size_(other.size_) {
    other.size_ = 0;
  }
  /// Shares the bytes of @p other, or takes them over if it is an rvalue.
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

  /// Returns whether this holds a frame.
  [[nodiscard]] explicit operator bool() const noexcept { return block_ != nullptr; }

  /// Returns header and payload, as sent on the wire.
  [[nodiscard]] std::span<const std::byte> wire() const noexcept { return {data(), size()}; }
  /// Returns the size of header and payload in bytes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Returns the payload.
  [[nodiscard]] std::span<const std::byte> payload() const noexcept {
    return wire().subspan(header_size_);
  }
  /// Returns the payload as text.
  [[nodiscard]] std::string_view payload_text() const noexcept {
    return {reinterpret_cast<const char*>(payload().data()), payload().size()};
  }
  /// Returns the opcode.
  [[nodiscard]] Opcode opcode() const noexcept {
    return static_cast<Opcode>(std::to_integer<std::uint8_t>(*data()) & 0x0F);
  }
  /// Returns the key that identifies the frame in an outbox; empty if it has none.
  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(block_ + 1), block_->key_size};
  }
  /// Returns the bytes for writing. Only the maker of a raw frame may fill them, before sharing it.
  [[nodiscard]] std::byte* data() noexcept { return begin_; }
  /// Returns the bytes as sent on the wire.
  [[nodiscard]] const std::byte* data() const noexcept { return begin_; }

  /// @private Adds the memory that all copies share to @p account, until the last copy is gone.
  /// Does nothing if the frame is already in an account. @pre no other thread has a copy
  void charge_to(detail::FrameAccount& account) const {
    if (block_->account) return;
    account.add(block_->bytes);
    block_->account = &account;
  }

  /// @private Returns how many bytes the frame added to its account; 0 if it has none.
  [[nodiscard]] std::size_t charged_bytes() const noexcept {
    return block_->account ? block_->bytes : 0;
  }

  // --- frames that are adjacent in memory, see `detail::FrameCoalescer` ---

  /// @private Returns whether other frames share this memory.
  [[nodiscard]] bool is_shared() const noexcept {
    return block_ && block_->references.load(std::memory_order_acquire) > 1;
  }
  /// @private Returns a frame equal to @p copied, whose bytes were copied to @p offset of this one.
  /// It shares the memory of this frame.
  [[nodiscard]] Frame slice(std::size_t offset, const Frame& copied) const noexcept {
    Frame frame(*this);
    frame.begin_ += offset;
    frame.header_size_ = copied.header_size_;
    frame.size_ = copied.size_;
    return frame;
  }
  /// @private Extends this frame by @p next. @returns false if @p next does not follow it in memory
  bool extend_by(const Frame& next) noexcept {
    if (block_ != next.block_ || begin_ + size_ != next.begin_) return false;
    size_ += next.size_;
    return true;
  }

 private:
  static constexpr std::uint64_t max_size = ~std::uint64_t{0} >> 4;

  // One allocation holds this block, the key, then the bytes.
  struct Block {
    std::atomic<std::uint32_t> references{1};
    std::uint32_t key_size;
    std::size_t bytes;  // size of the allocation
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

namespace roost::detail {

// These functions report invalid arguments to the caller before any connection sees the frame.

Frame encode_text(std::string_view text, std::string_view key = {});

ROOST_WHEN_USED Frame encode_json(const nlohmann::json& value, std::string_view key = {});

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/socket/frame.ipp"
#endif
