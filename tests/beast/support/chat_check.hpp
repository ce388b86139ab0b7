// SPDX-License-Identifier: MIT
// What must hold of a chat in which one I/O call went wrong, compared to one in which none did.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "beast/support/chat.hpp"

namespace roost::test {

/// Compares a run to the reference; what is wrong is in `problems`.
class ChatCheck {
 public:
  ChatCheck(const Chat::Record& reference, const Chat::Record& run)
      : reference_(reference), run_(run), problems(run.problems) {}

 private:
  const Chat::Record& reference_;
  const Chat::Record& run_;

 public:
  std::vector<std::string> problems;

  /// The fault was a matter of time or of portions: everybody has seen the same, byte for byte.
  void nobody_notices() {
    for (std::size_t i = 0; i < run_.clients.size(); ++i) {
      const auto& was = reference_.clients[i];
      const auto& is = run_.clients[i];
      expect(is.bytes() == was.bytes(), is.name() + " got other bytes");
      expect(is.end() == was.end(), is.name() + " ended by " + is.end());
    }
    expect(run_.received == reference_.received, "the server got other messages");
    expect(run_.outcomes == reference_.outcomes, "sessions ended in other ways");
    expect(run_.hooks == reference_.hooks, "hooks were told other things");
  }

  /// Whether backpressure may have held up one author so that others came first.
  enum class Order { same, of_each_author };

  /// Connections that the fault did not hit: they lack at most what comes from @p affected.
  void others_do_not_notice(const std::set<std::string>& affected, Order order = Order::same) {
    for (std::size_t i = 0; i < run_.clients.size(); ++i) {
      const auto& was = reference_.clients[i];
      const auto& is = run_.clients[i];
      if (affected.contains(is.name())) continue;
      expect(is.error().empty(), is.name() + " got " + is.error());
      expect(in_order(without(is.lines(), affected), order) ==
                 in_order(without(was.lines(), affected), order),
             is.name() + " noticed something");
      for (const std::string& author : affected) {
        expect(is_prefix(from(is.lines(), author), from(was.lines(), author)),
               is.name() + " got something strange from " + author);
      }
      expect(is.end() == was.end(), is.name() + " ended by " + is.end());
      expect(told(run_.outcomes, is.name()) == told(reference_.outcomes, is.name()),
             "the session of " + is.name() + " ended by " + told(run_.outcomes, is.name()));
      expect(told(run_.hooks, is.name()) == told(reference_.hooks, is.name()),
             "the hook for " + is.name() + " was told " + told(run_.hooks, is.name()));
    }
  }

  /// Where a call has failed nothing more is tried.
  void is_given_up() { expect(!run_.goes_on, "the server goes on where a call has failed"); }

  /// What the clients in @p affected got stops early, and is right up to there.
  void bytes_stop_early(const std::set<std::string>& affected) {
    for (std::size_t i = 0; i < run_.clients.size(); ++i) {
      const auto& is = run_.clients[i];
      if (!affected.contains(is.name())) continue;
      expect(reference_.clients[i].bytes().starts_with(is.bytes()), is.name() + " got other bytes");
    }
  }

  /// The messages of each author stop early, and may come later than those of others. Clients whose
  /// leaving was not noticed in time may get more than they would have, but nothing twice.
  void messages_stop_early(const std::set<std::string>& affected) {
    for (std::size_t i = 0; i < run_.clients.size(); ++i) {
      const auto& was = reference_.clients[i];
      const auto& is = run_.clients[i];
      if (!affected.contains(is.name())) continue;
      expect(is.error().empty(), is.name() + " got " + is.error());
      for (const char* author : authors) {
        const Lines got = from(is.lines(), author);
        const Lines meant = from(was.lines(), author);
        expect(is_prefix(got, meant) || is_prefix(meant, got),
               is.name() + " got something strange from " + author);
        expect(std::set<std::string>(got.begin(), got.end()).size() == got.size(),
               is.name() + " got something twice from " + author);
      }
    }
  }

 private:
  using Lines = std::vector<std::string>;
  static constexpr const char* authors[] = {"alice", "bob", "carol", "server"};

  void expect(bool holds, const std::string& otherwise) {
    if (!holds) problems.push_back(otherwise);
  }
  static std::string told(const std::map<std::string, std::string>& all, const std::string& name) {
    const auto found = all.find(name);
    return found == all.end() ? "nothing" : found->second;
  }
  static bool is_from(const std::string& line, const std::string& author) {
    return line.starts_with("text " + author + ": ") || line.starts_with("bytes " + author + ": ");
  }
  static Lines from(Lines lines, const std::string& author) {
    std::erase_if(lines, [&](const std::string& line) { return !is_from(line, author); });
    return lines;
  }
  static Lines without(Lines lines, const std::set<std::string>& authors) {
    std::erase_if(lines, [&](const std::string& line) {
      return std::any_of(authors.begin(), authors.end(),
                         [&](const std::string& author) { return is_from(line, author); });
    });
    return lines;
  }
  static Lines in_order(Lines lines, Order order) {
    if (order == Order::same) return lines;
    Lines sorted = without(lines, {std::begin(authors), std::end(authors)});
    for (const char* author : authors) {
      const Lines more = from(lines, author);
      sorted.insert(sorted.end(), more.begin(), more.end());
    }
    return sorted;
  }
  static bool is_prefix(const Lines& part, const Lines& whole) {
    return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
  }
};

}  // namespace roost::test
