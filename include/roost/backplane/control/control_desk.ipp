// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/post.hpp>
#include <exception>

#include "roost/backplane/control/control_desk.hpp"
#include "roost/base/error.hpp"
#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF void ControlDesk::add(const std::shared_ptr<const ControlMember>& member) {
  const auto count = std::make_shared<std::atomic<std::size_t>>(0);
  member->count_connections(count);
  const std::lock_guard lock(mutex_);
  members_.emplace_back(member, count);
}

ROOST_WHEN_USED_DEF void ControlDesk::remove(const ControlMember& member) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(members_, [&](const auto& entry) {
    const auto its_member = entry.first.lock();
    return !its_member || its_member.get() == &member;
  });
}

ROOST_WHEN_USED_DEF void ControlDesk::on_ask(std::string name, AskHook hook) {
  const std::lock_guard lock(mutex_);
  hooks_[std::move(name)] = std::move(hook);
}

ROOST_WHEN_USED_DEF std::vector<std::shared_ptr<const ControlMember>> ControlDesk::members() const {
  std::vector<std::shared_ptr<const ControlMember>> members;
  const std::lock_guard lock(mutex_);
  for (const auto& [weak, count] : members_) {
    if (auto member = weak.lock()) members.push_back(std::move(member));
  }
  return members;
}

ROOST_WHEN_USED_DEF ControlDesk::AskHook ControlDesk::hook_of(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = hooks_.find(name);
  return found == hooks_.end() ? AskHook() : found->second;
}

ROOST_WHEN_USED_DEF std::size_t ControlDesk::connections() const {
  std::vector<
      std::pair<std::shared_ptr<const ControlMember>, std::shared_ptr<std::atomic<std::size_t>>>>
      members;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [weak, count] : members_) members.emplace_back(weak.lock(), count);
  }
  std::size_t connections = 0;
  for (const auto& [member, count] : members) {
    if (member) member->count_connections(count);
    connections += *count;
  }
  return connections;
}

ROOST_WHEN_USED_DEF ControlCounts ControlDesk::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

// --- asking ---

ROOST_WHEN_USED_DEF ControlDesk::Pending ControlDesk::begin(std::string what, nlohmann::json body,
                                                            Clock::duration timeout) {
  auto pending = std::make_shared<PendingSurvey>();
  pending->question = {.id = random_id(),
                       .from = line_->own_name(),
                       .reply = line_->address(),
                       .what = std::move(what),
                       .body = std::move(body)};
  pending->deadline = line_->clock().now() + timeout;
  pending->missing.insert(pending->question.from);
  for (const ReplicaInfo& replica : line_->replicas()) pending->missing.insert(replica.name);
  std::erase_if(pending_, [](const auto& entry) { return entry.second.expired(); });
  pending_[pending->question.id] = pending;
  {
    const std::lock_guard lock(mutex_);
    ++counts_.asks;
  }
  const std::weak_ptr<PendingSurvey> weak = pending;
  line_->list([weak, self = weak_from_this()](const std::optional<ControlLine::Names>& names) {
    const Pending asked = weak.lock();
    const auto desk = self.lock();
    if (!asked || !desk) return;
    if (!names) {
      asked->is_alone = true;
      return asked->changed.notify_all();
    }
    asked->missing = {names->begin(), names->end()};
    asked->missing.erase(desk->line_->own_name());  // it may have changed just now
    asked->missing.insert(asked->question.from);
    for (const auto& [name, answer] : asked->answers) asked->missing.erase(name);
    asked->is_listed = true;
    if (asked->missing.size() > asked->missing.count(asked->question.from)) {
      desk->line_->tell_all(encode_question(asked->question));
    }
    asked->changed.notify_all();
  });
  answer(pending->question, [weak, self = weak_from_this()](ControlAnswer answer) {
    const auto desk = self.lock();
    const Pending asked = weak.lock();
    if (asked && desk) desk->note(asked, std::move(answer));
  });
  return pending;
}

ROOST_WHEN_USED_DEF void ControlDesk::note(const Pending& pending, ControlAnswer answer) {
  constexpr std::size_t max_answers = 4'096;
  if (pending->answers.size() >= max_answers) return;
  pending->missing.erase(answer.from);
  pending->answers.try_emplace(
      answer.from, ReplicaAnswer{answer.from, std::move(answer.body), std::move(answer.error)});
  if (pending->is_done()) pending->changed.notify_all();
}

ROOST_WHEN_USED_DEF Survey ControlDesk::end(const Pending& pending) {
  pending_.erase(pending->question.id);
  Survey survey;
  for (auto& [name, answer] : pending->answers) survey.answers.push_back(std::move(answer));
  survey.missing = {pending->missing.begin(), pending->missing.end()};
  const std::lock_guard lock(mutex_);
  counts_.missing += survey.missing.size();
  return survey;
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<Survey> ControlDesk::ask(
    std::shared_ptr<ControlDesk> self, std::string what, nlohmann::json body,
    Clock::duration timeout) {
  const boost::asio::any_io_executor executor = self->line_->executor();
  if (!executor) throw Error(errc::backplane_unavailable, "the backplane is gone");
  Clock& clock = self->line_->clock();
  const Pending pending = self->begin(std::move(what), std::move(body), timeout);
  bool is_in_time = true;
  while (is_in_time && !pending->is_done()) {
    is_in_time = co_await wait(pending->changed, executor, clock, pending->deadline);
  }
  co_return self->end(pending);
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<Reached> ControlDesk::order(
    std::shared_ptr<ControlDesk> self, ControlOrder order, Clock::duration timeout) {
  nlohmann::json body = encode_order(order);
  auto asking = ask(std::move(self), std::string(name_of(order.kind)), std::move(body), timeout);
  Survey survey = co_await std::move(asking);
  Reached reached{.missing = std::move(survey.missing)};
  for (const ReplicaAnswer& answer : survey.answers) {
    if (answer.answer.is_number_unsigned()) reached.count += answer.answer.get<std::size_t>();
  }
  co_return reached;
}

// --- what comes in ---

ROOST_WHEN_USED_DEF bool ControlDesk::receive(std::string_view text) {
  ControlMessage message = read_control(text);
  if (auto* const answered = std::get_if<ControlAnswer>(&message)) {
    const auto found = pending_.find(answered->id);
    const Pending asked = found == pending_.end() ? nullptr : found->second.lock();
    if (asked) note(asked, std::move(*answered));
  } else if (auto* const asked = std::get_if<ControlQuestion>(&message)) {
    const boost::asio::any_io_executor executor = line_->executor();
    if (!executor || asked->reply == line_->address()) return true;  // gone, or our own question
    // Later: a hook may do anything, even destroy the backplane.
    boost::asio::post(executor, [self = weak_from_this(), asked = std::move(*asked)] {
      if (const auto desk = self.lock()) desk->answer_to(asked);
    });
  }
  return !std::holds_alternative<std::monostate>(message);
}

ROOST_WHEN_USED_DEF void ControlDesk::answer_to(const ControlQuestion& question) {
  answer(question, [self = weak_from_this(), to = question.reply](ControlAnswer answer) {
    if (const auto desk = self.lock()) desk->line_->tell(to, encode_answer(std::move(answer)));
  });
}

ROOST_WHEN_USED_DEF void ControlDesk::answer(const ControlQuestion& question, Answered answered) {
  ControlAnswer answer{.id = question.id, .from = line_->own_name(), .body = {}, .error = {}};
  if (question.what.starts_with("roost:")) {
    const std::optional<ControlOrder> order = read_order(question);
    if (order) return carry_out(*order, std::move(answer), std::move(answered));
    answer.error = "this replica does not know " + question.what;
  } else if (const AskHook hook = hook_of(question.what)) {
    try {
      answer.body = hook(question.body);
    } catch (...) {
      answer.error = describe(std::current_exception());
    }
  } else {
    answer.error = "this replica has no hook for " + question.what;
  }
  answered(std::move(answer));
}

ROOST_WHEN_USED_DEF void ControlDesk::carry_out(const ControlOrder& order, ControlAnswer answer,
                                                Answered answered) {
  struct Sum {
    ControlAnswer answer;
    Answered answered;
    std::size_t left;
    std::size_t count = 0;
  };
  const auto its_members = members();
  const auto sum =
      std::make_shared<Sum>(Sum{std::move(answer), std::move(answered), its_members.size() + 1});
  const auto add = [sum](std::size_t count) {
    sum->count += count;
    if (--sum->left > 0) return;
    sum->answer.body = sum->count;
    sum->answered(std::move(sum->answer));
  };
  for (const auto& member : its_members) {
    member->carry_out(order, [add, line = line_](std::size_t count) {
      const boost::asio::any_io_executor executor = line->executor();
      if (executor) boost::asio::post(executor, [add, count] { add(count); });
    });
  }
  add(0);
}

}  // namespace roost::detail
