// SPDX-License-Identifier: MIT
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace load {

/// What a process has used of its core, in seconds.
struct Usage {
  double user = 0;    ///< In steps of a clock tick, as all that /proc tells of user and system.
  double system = 0;  ///< In steps of a clock tick.
  double cpu = 0;     ///< Both together, to the nanosecond.
  double waited = 0;  ///< Ready to run, while the core ran something else.

  friend Usage operator-(const Usage& a, const Usage& b) {
    return {a.user - b.user, a.system - b.system, a.cpu - b.cpu, a.waited - b.waited};
  }
};

/// Looks at a process from outside. The load does so itself, for it alone knows when the time that
/// is measured begins and ends.
class Process {
 public:
  explicit Process(int pid) : directory_("/proc/" + std::to_string(pid)) {}

  [[nodiscard]] Usage usage() const {
    Usage usage;
    std::string stat;
    std::getline(std::ifstream(directory_ + "/stat"), stat);
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th after
    // it.
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    fields >> usage.user >> usage.system;
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    usage.user /= ticks;
    usage.system /= ticks;
    add_threads(usage);
    if (usage.cpu == 0) usage.cpu = usage.user + usage.system;  // a kernel without schedstat
    return usage;
  }

  /// Resident memory that is its own share, in bytes, without the kernel's buffers.
  [[nodiscard]] std::int64_t memory() const {
    std::ifstream rollup(directory_ + "/smaps_rollup");
    for (std::string line; std::getline(rollup, line);) {
      if (line.starts_with("Pss:")) return std::stoll(line.substr(4)) * 1024;
    }
    return 0;
  }

 private:
  void add_threads(Usage& usage) const {
    DIR* const tasks = opendir((directory_ + "/task").c_str());
    if (!tasks) return;
    while (const dirent* entry = readdir(tasks)) {
      if (entry->d_name[0] == '.') continue;  // ".." has a schedstat too: that of the first thread
      std::ifstream schedstat(directory_ + "/task/" + entry->d_name + "/schedstat");
      double ran = 0;
      double waited = 0;
      if (schedstat >> ran >> waited) {
        usage.cpu += ran / 1e9;
        usage.waited += waited / 1e9;
      }
    }
    closedir(tasks);
  }

  std::string directory_;
};

}  // namespace load
