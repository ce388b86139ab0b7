// The application that quiz_test.cpp tests: a quiz, which the first right answer wins. `Quiz` is a
// template, so it runs over Beast's sockets in a server and over a fake in its test.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/roost.hpp>
#include <string>
#include <utility>

template <class Manager>
class Quiz {
 public:
  using ConnectionPtr = typename Manager::ConnectionPtr;

  Quiz(Manager& manager, std::string answer) : manager_(manager), answer_(std::move(answer)) {
    manager_.on_left([this](const ConnectionPtr& player, std::string_view) {
      const nlohmann::json left = {{"left", player->id()}};
      manager_.post_json(left, {.room = "quiz"});
    });
  }

  /// Serves one player, until the player leaves.
  boost::asio::awaitable<void> play(std::shared_ptr<typename Manager::WebSocket> socket,
                                    std::string name) {
    auto handler = [this](ConnectionPtr player) -> boost::asio::awaitable<void> {
      while (auto guess = co_await manager_.next_text(*player)) {
        if (is_won_ || *guess != answer_) {
          co_await player->send_text(is_won_ ? "too late" : "no");
          continue;
        }
        is_won_ = true;
        const nlohmann::json winner = {{"winner", player->id()}};
        co_await manager_.broadcast_json(winner, {.room = "quiz"});
      }
    };
    co_await manager_.session(socket, {.connection_id = name, .rooms = "quiz"}, handler);
  }

 private:
  Manager& manager_;
  const std::string answer_;
  bool is_won_ = false;
};
