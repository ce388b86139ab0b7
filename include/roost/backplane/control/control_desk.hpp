// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "roost/backplane/control.hpp"
#include "roost/backplane/control/control_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// How the messages of a `ControlDesk` travel. On the backplane's executor.
class ControlLine {
 public:
  using Names = std::vector<std::string>;
  using Listed = std::function<void(std::optional<Names>)>;

  ControlLine() = default;
  ControlLine(const ControlLine&) = delete;
  ControlLine& operator=(const ControlLine&) = delete;
  virtual ~ControlLine() = default;

  /// Null once the backplane is gone. From any thread.
  [[nodiscard]] virtual boost::asio::any_io_executor executor() const = 0;
  [[nodiscard]] virtual Clock& clock() const = 0;
  /// The name of this replica.
  [[nodiscard]] virtual std::string own_name() const = 0;
  /// Where an answer to this replica goes.
  [[nodiscard]] virtual std::string address() const = 0;
  /// The replicas as of the last beat. From any thread.
  [[nodiscard]] virtual std::vector<ReplicaInfo> replicas() const = 0;
  /// Finds out which replicas there are now, and calls @p done with their names, or with nothing if
  /// that cannot be found out. Does not call it if the backplane ends meanwhile.
  virtual void list(Listed done) = 0;
  virtual void tell_all(std::string text) = 0;
  virtual void tell(const std::string& address, std::string text) = 0;
};

/// A question that was asked. Owned by the coroutine that waits for the answers.
struct PendingSurvey {
  ControlQuestion question;
  Clock::time_point deadline = {};
  std::set<std::string> missing;  ///< The replicas that have not answered.
  std::map<std::string, ReplicaAnswer> answers;
  bool is_listed = false;
  bool is_alone = false;  ///< The other replicas cannot be reached: nobody waits for them.
  WaitList changed;

  [[nodiscard]] bool is_done() const noexcept {
    return is_alone ? !missing.contains(question.from) : is_listed && missing.empty();
  }
};

/// How often the replicas were asked.
struct ControlCounts {
  std::uint64_t asks = 0;     ///< Questions and orders.
  std::uint64_t missing = 0;  ///< Answers that did not come in time.
};

/// Asks the other replicas of a backplane, and answers them. A backplane with a registry has one.
/// On the backplane's executor, unless said otherwise.
class ControlDesk : public std::enable_shared_from_this<ControlDesk> {
 public:
  using AskHook = std::function<nlohmann::json(const nlohmann::json& question)>;
  using Pending = std::shared_ptr<PendingSurvey>;
  using Answered = std::function<void(ControlAnswer)>;

  explicit ControlDesk(std::shared_ptr<ControlLine> line) noexcept : line_(std::move(line)) {}

  [[nodiscard]] ControlLine& line() const noexcept { return *line_; }

  // --- from any thread ---

  ROOST_WHEN_USED void add(const std::shared_ptr<const ControlMember>& member);
  ROOST_WHEN_USED void remove(const ControlMember& member) noexcept;
  ROOST_WHEN_USED void on_ask(std::string name, AskHook hook);
  /// How many connections the members have, as far as is known.
  ROOST_WHEN_USED [[nodiscard]] std::size_t connections() const;
  ROOST_WHEN_USED [[nodiscard]] ControlCounts counts() const;

  // --- asking ---

  /// Asks all replicas, this one included. The caller waits until the survey is done, or for its
  /// deadline, then calls `end`.
  ROOST_WHEN_USED Pending begin(std::string what, nlohmann::json body, Clock::duration timeout);
  ROOST_WHEN_USED Survey end(const Pending& pending);
  /// Asks, waits and returns the answers.
  ROOST_WHEN_USED static boost::asio::awaitable<Survey> ask(std::shared_ptr<ControlDesk> self,
                                                            std::string what, nlohmann::json body,
                                                            Clock::duration timeout);
  ROOST_WHEN_USED static boost::asio::awaitable<Reached> order(std::shared_ptr<ControlDesk> self,
                                                               ControlOrder order,
                                                               Clock::duration timeout);

  // --- what comes in ---

  /// Takes a message. @returns false if @p text is not one of a replica
  ROOST_WHEN_USED bool receive(std::string_view text);

 private:
  ROOST_WHEN_USED void note(const Pending& pending, ControlAnswer answer);
  ROOST_WHEN_USED void answer_to(const ControlQuestion& question);
  ROOST_WHEN_USED void answer(const ControlQuestion& question, Answered answered);
  ROOST_WHEN_USED void carry_out(const ControlOrder& order, ControlAnswer answer,
                                 Answered answered);
  ROOST_WHEN_USED [[nodiscard]] std::vector<std::shared_ptr<const ControlMember>> members() const;
  ROOST_WHEN_USED [[nodiscard]] AskHook hook_of(const std::string& name) const;

  const std::shared_ptr<ControlLine> line_;
  std::unordered_map<std::string, std::weak_ptr<PendingSurvey>> pending_;
  // Managers of other threads are bound while this one answers.
  mutable std::mutex mutex_;
  std::vector<
      std::pair<std::weak_ptr<const ControlMember>, std::shared_ptr<std::atomic<std::size_t>>>>
      members_;
  std::map<std::string, AskHook, std::less<>> hooks_;
  ControlCounts counts_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/control/control_desk.ipp"
#endif
