// SPDX-License-Identifier: MIT
// Another host, at the end of a cable that can be cut: a network namespace of this process.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace roost::test {

/// Moves the whole process to a network of its own: with the rights of root, or of a user
/// namespace. To be called before there is a second thread.
inline void leave_the_network() {
  if (::unshare(CLONE_NEWNET) == 0) return;
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) return;
  throw std::system_error(errno, std::generic_category(), "unshare: no network namespaces here");
}

inline void sh(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

/// @pre `leave_the_network`
class OtherHost {
 public:
  /// Our end of the cable.
  static constexpr const char* our_address = "10.99.0.1";

  OtherHost() {
    std::promise<pid_t> there;
    thread_ = std::thread([&, done = done_.get_future()]() mutable { live(there, done); });
    const pid_t id = there.get_future().get();
    if (id == 0) {
      thread_.join();
      throw std::runtime_error("the other host could not be made");
    }
    const std::string proc = "/proc/" + std::to_string(id) + "/ns/net";
    namespace_ = ::open(proc.c_str(), O_RDONLY | O_CLOEXEC);
    sh("ip link add cable0 type veth peer name cable1 netns " + std::to_string(id));
    sh("ip addr add " + std::string(our_address) + "/30 dev cable0");
    sh("ip link set cable0 up");
    there_sh("ip addr add 10.99.0.2/30 dev cable1 && ip link set cable1 up");
  }
  OtherHost(const OtherHost&) = delete;
  OtherHost& operator=(const OtherHost&) = delete;
  ~OtherHost() {
    ::close(namespace_);
    done_.set_value();
    thread_.join();
  }

  /// A socket of that host, connected to @p server.
  [[nodiscard]] int connect(const boost::asio::ip::tcp::endpoint& server) const {
    int fd = -1;
    there([&] {
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(fd, server.data(), static_cast<socklen_t>(server.size())) != 0) {
        ::close(fd);
        fd = -1;
      }
    });
    if (fd < 0) throw std::runtime_error("the other host cannot connect");
    return fd;
  }

  /// From now on nothing gets through: no data, no FIN, no reset, in neither direction. The link
  /// stays up at our end, as it does behind a switch.
  void cut() const { there_sh("ip addr flush dev cable1 && ip link set cable1 arp off"); }

 private:
  // Keeps the namespace alive.
  static void live(std::promise<pid_t>& there, std::future<void>& done) {
    if (::unshare(CLONE_NEWNET) != 0) return there.set_value(0);
    there.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
    done.wait();
  }

  template <class Action>
  void there(Action action) const {
    std::thread([&] {
      if (::setns(namespace_, CLONE_NEWNET) == 0) action();
    }).join();
  }
  void there_sh(const std::string& command) const {
    there([&] { sh(command); });
  }

  int namespace_ = -1;
  std::promise<void> done_;
  std::thread thread_;
};

}  // namespace roost::test
