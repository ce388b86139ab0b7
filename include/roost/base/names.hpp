// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <string_view>
#include <type_traits>

namespace roost {

/// An argument that takes one or several names (rooms, ids): a view of one string, of up to four
/// strings in braces, or of a contiguous range of strings.
///
/// It owns nothing: use it as an argument only. It is trivially destructible because g++ 12
/// destroys an owning temporary aggregate in a `co_await` expression twice.
/// @code
/// {.rooms = "lobby"}   {.rooms = {"lobby", room}}   {.rooms = vector_of_strings}
/// @endcode
class Names {
 public:
  /// The most names that fit in braces; pass a range for more.
  static constexpr std::size_t max_braced = 4;

  /// Makes an argument without names: `is_given` is false.
  constexpr Names() noexcept = default;

  /// Refers to one to four strings, which must outlive the call.
  template <std::convertible_to<std::string_view>... Name>
    requires(sizeof...(Name) >= 1 && sizeof...(Name) <= max_braced)
  Names(const Name&... names) noexcept  // NOLINT: implicit on purpose
      : braced_(Braced::of(std::string_view(names)...)),
        count_(sizeof...(Name)),
        kind_(Kind::braced) {}

  /// Refers to a vector, span or array of strings, which must outlive the call.
  template <std::ranges::contiguous_range Range>
    requires(!std::convertible_to<const Range&, std::string_view> &&
             std::ranges::sized_range<Range> &&
             std::convertible_to<std::ranges::range_reference_t<const Range>, std::string_view>)
  Names(const Range& range) noexcept  // NOLINT: implicit on purpose
      : range_{.data = std::ranges::data(range),
               .at =
                   [](const void* data, std::size_t i) {
                     using Element = std::ranges::range_value_t<Range>;
                     return std::string_view(static_cast<const Element*>(data)[i]);
                   },
               .size = std::ranges::size(range)},
        kind_(Kind::range) {}

  /// Returns how many names there are.
  [[nodiscard]] constexpr std::size_t size() const noexcept {
    return kind_ == Kind::range ? range_.size : count_;
  }
  /// Returns false if no argument was given. An empty range counts as given.
  [[nodiscard]] constexpr bool is_given() const noexcept { return kind_ != Kind::none; }
  /// Returns whether there are no names, given or not.
  [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }
  /// Returns the name at index @p i. @pre `i < size()`
  [[nodiscard]] constexpr std::string_view operator[](std::size_t i) const noexcept {
    return kind_ == Kind::range ? range_.at(range_.data, i) : braced_[i];
  }

  /// @private A forward iterator.
  class iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    constexpr iterator() noexcept = default;
    constexpr iterator(const Names* names, std::size_t i) noexcept : names_(names), i_(i) {}
    constexpr std::string_view operator*() const noexcept { return (*names_)[i_]; }
    constexpr iterator& operator++() noexcept { return ++i_, *this; }
    constexpr iterator operator++(int) noexcept { return {names_, i_++}; }
    constexpr bool operator==(const iterator&) const noexcept = default;

   private:
    const Names* names_ = nullptr;
    std::size_t i_ = 0;
  };
  /// Returns an iterator to the first name.
  [[nodiscard]] constexpr iterator begin() const noexcept { return {this, 0}; }
  /// Returns the end iterator.
  [[nodiscard]] constexpr iterator end() const noexcept { return {this, size()}; }

 private:
  enum class Kind : unsigned char { none, braced, range };
  struct Elsewhere {
    const void* data;
    std::string_view (*at)(const void*, std::size_t);
    std::size_t size;
  };
  struct Braced {
    std::array<const char*, max_braced> data{};
    std::array<std::uint32_t, max_braced> length{};

    template <class... View>
    static constexpr Braced of(View... names) noexcept {
      return {{names.data()...}, {clipped(names.size())...}};
    }
    // A name of 4 GiB is invalid, however long it is.
    static constexpr std::uint32_t clipped(std::size_t size) noexcept {
      constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
      return size < most ? static_cast<std::uint32_t>(size) : most;
    }
    constexpr std::string_view operator[](std::size_t i) const noexcept {
      return {data[i], length[i]};
    }
  };

  // Options are temporaries of `co_await` expressions and so live in coroutine frames, of which
  // there is one per connection: the union and the short lengths keep them small.
  union {
    Braced braced_{};
    Elsewhere range_;
  };
  std::uint8_t count_ = 0;  // of `braced_`
  Kind kind_ = Kind::none;
};

static_assert(std::is_trivially_destructible_v<Names>);

}  // namespace roost
