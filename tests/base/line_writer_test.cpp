// SPDX-License-Identifier: MIT
// Lines to those who do not take them: the process goes on, nothing is raised, what is lost is
// told.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <roost/base/log_sinks.hpp>
#include <roost/roost.hpp>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// A pipe of one page.
class Pipe {
 public:
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    reader_ = ends[0];
    ::fcntl(ends[1], F_SETPIPE_SZ, 4'096);
    writer_.reset(::fdopen(ends[1], "w"));
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() { close_reader(); }

  [[nodiscard]] std::FILE* file() const { return writer_.get(); }
  void close_reader() {
    if (reader_ >= 0) ::close(reader_);
    reader_ = -1;
  }
  void close_writer() { writer_.reset(); }

  /// The next line, without its break; empty after the last one, or when none comes in time.
  std::string line() {
    for (std::size_t end = 0; (end = text_.find('\n')) == text_.npos;) {
      pollfd wanted{.fd = reader_, .events = POLLIN, .revents = 0};
      if (::poll(&wanted, 1, 20'000) <= 0) return {};
      char bytes[1'000];
      const ssize_t n = ::read(reader_, bytes, sizeof bytes);
      if (n <= 0) return {};
      text_.append(bytes, static_cast<std::size_t>(n));
    }
    const std::size_t end = text_.find('\n');
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }
  std::vector<std::string> lines_until(const std::string& last) {
    std::vector<std::string> lines;
    do lines.push_back(line());
    while (!lines.back().empty() && lines.back() != last);
    return lines;
  }

 private:
  int reader_ = -1;
  File writer_{nullptr, &std::fclose};
  std::string text_;
};

LineWriterOptions small(std::FILE* file) {
  return {.file = file,
          .max_queued_bytes = 4'096,
          .exit_timeout = 20s,
          .notice = [](std::uint64_t lost) { return "lost " + std::to_string(lost); }};
}

TEST_CASE("lines to a full pipe do not block; what is lost is counted, and told in its place",
          "[lines]") {
  Pipe pipe;
  LineWriter writer(small(pipe.file()));
  std::uint64_t taken = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (writer.write("line " + std::to_string(i))) ++taken;
  }
  const std::uint64_t lost = writer.lost();
  CHECK(lost > 0);
  CHECK(taken + lost == 10'000);
  // A reader that reads again learns of the loss, without another line.
  std::uint64_t read = 0;
  std::uint64_t told = 0;
  while (read + told < 10'000) {
    const std::string line = pipe.line();
    if (line.starts_with("lost ")) {
      told += std::stoull(line.substr(5));
    } else if (line == "line " + std::to_string(read + told)) {
      ++read;
    } else {
      FAIL("unexpected: " << line);
    }
  }
  CHECK(told == lost);
  CHECK(writer.write("and on"));
  CHECK(pipe.line() == "and on");
}

TEST_CASE("a pipe that was closed raises no signal, and costs lines only", "[lines]") {
  Pipe pipe;
  LineWriter writer(small(pipe.file()));
  CHECK(writer.write("first"));
  CHECK(pipe.line() == "first");
  pipe.close_reader();
  while (writer.lost() < 3) {
    writer.write("nobody reads this");
    std::this_thread::yield();
  }
  struct sigaction now {};
  ::sigaction(SIGPIPE, nullptr, &now);
  CHECK(now.sa_handler == SIG_DFL);  // it would end this process
}

TEST_CASE("a device that is full costs lines only, also at the end", "[lines]") {
  const File full(std::fopen("/dev/full", "w"), &std::fclose);
  LineWriter writer(small(full.get()));
  while (writer.lost() < 3) {
    writer.write("there is no space");
    std::this_thread::yield();
  }
}

TEST_CASE("a file that takes no more raises no signal; what is lost is told when it does again",
          "[lines]") {
  const File file(std::tmpfile(), &std::fclose);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{.rlim_cur = 10, .rlim_max = before.rlim_max};
  {
    LineWriter writer(small(file.get()));
    ::setrlimit(RLIMIT_FSIZE, &tight);
    writer.write("more than ten bytes");  // SIGXFSZ, if it was not for the writer
    while (writer.lost() < 1) std::this_thread::yield();
    ::setrlimit(RLIMIT_FSIZE, &before);
    writer.write("there is room again");
  }
  std::rewind(file.get());
  std::string text(100, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  CHECK(text == "more than \nlost 1\nthere is room again\n");
}

TEST_CASE("a terminal that is stopped blocks nobody", "[lines]") {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE((master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0));
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(slave >= 0);
  REQUIRE(::tcflow(slave, TCOOFF) == 0);  // Ctrl-S
  const File terminal(::fdopen(slave, "w"), &std::fclose);
  LineWriterOptions options = small(terminal.get());
  options.exit_timeout = 100ms;
  {
    LineWriter writer(options);
    for (int i = 0; i < 1'000; ++i) writer.write(std::string(100, 'x'));
    CHECK(writer.lost() > 900);
  }
  ::close(master);
}

TEST_CASE("a writer waits for its last lines, but not longer than it may", "[lines]") {
  Pipe pipe;
  std::optional<LineWriter> writer;
  SECTION("they are taken in time") {
    LineWriterOptions options = small(pipe.file());
    options.max_queued_bytes = 100'000;
    writer.emplace(options);
    for (int i = 0; i < 60; ++i) writer->write(std::string(100, 'x'));  // more than a page
    writer->write("last");
    std::thread reader([&] { CHECK(pipe.lines_until("last").size() == 61); });
    writer.reset();
    pipe.close_writer();
    reader.join();
  }
  SECTION("they are not") {
    LineWriterOptions options = small(pipe.file());
    options.max_queued_bytes = 100'000;
    options.exit_timeout = 50ms;
    writer.emplace(options);
    for (int i = 0; i < 500; ++i) writer->write(std::string(100, 'x'));
    writer.reset();
    // Nor does it write any more once its file is closed, and the number of that is another's.
    pipe.close_reader();
    pipe.close_writer();
    Pipe other;
    LineWriter writer_of_other(small(other.file()));
    writer_of_other.write("not mixed");
    CHECK(other.line() == "not mixed");
  }
}

bool is_child = false;
// Comes behind the queues, and before LeakSanitizer, which makes mistakes in a child of a process
// with several threads.
const int leaves_early = std::atexit([] {
  if (is_child) ::_exit(7);
});

/// Runs @p body in a child process.
template <class Body>
pid_t start_child(Body body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  is_child = true;
  ::alarm(60);
  body();
  ::_exit(99);
}

/// With which status it has exited.
int exit_status(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("lines that are queued are written when the process exits, also where no destructor runs",
          "[lines]") {
  Pipe pipe;
  const pid_t child = start_child([&] {
    auto* const never_destroyed =
        new LineWriter({.file = pipe.file(), .max_queued_bytes = 1'000'000, .exit_timeout = 20s});
    for (int i = 0; i < 100; ++i) never_destroyed->write(std::string(200, 'x'));
    never_destroyed->write("bye");
    std::exit(leaves_early);  // 7 in the end
  });
  CHECK(pipe.lines_until("bye").size() == 101);
  CHECK(exit_status(child) == 7);
}

TEST_CASE("after a fork parent and child write their own lines", "[lines]") {
  Pipe pipe;
  LineWriter writer(small(pipe.file()));
  writer.write("before");
  CHECK(pipe.line() == "before");  // the thread runs
  const pid_t child = start_child([&] {
    writer.write("of the child");
    ::_exit(pipe.line() == "of the child" ? 0 : 1);
  });
  CHECK(exit_status(child) == 0);
  writer.write("of the parent");
  CHECK(pipe.line() == "of the parent");
}

TEST_CASE("the thread that writes takes no signal of the application's", "[lines]") {
  Pipe pipe;
  LineWriter writer(small(pipe.file()));
  writer.write("it runs");
  CHECK(pipe.line() == "it runs");
  sigset_t usr1;
  sigset_t before;
  ::sigemptyset(&usr1);
  ::sigaddset(&usr1, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &usr1, &before);
  ::kill(::getpid(), SIGUSR1);  // would end this process in a thread that does not block it
  int signal = 0;
  CHECK(::sigwait(&usr1, &signal) == 0);
  CHECK(signal == SIGUSR1);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a logger tells how many events it has lost", "[lines]") {
  Pipe pipe;
  const LogFormat format = GENERATE(LogFormat::logfmt, LogFormat::json);
  const Logger logger = log_to_stderr(
      {.format = format, .file = pipe.file(), .max_queued_bytes = 4'096, .exit_timeout = 0ms});
  for (int i = 0; i < 1'000; ++i) detail::log(logger, Severity::info, "event");
  std::string line;
  do line = pipe.line();
  while (contains(line, "\"event\":\"event\"") || contains(line, "event=event"));
  CHECK(contains(line, "log_lines_lost"));
  CHECK(contains(line, "warning"));
  CHECK(contains(line, "count"));
}

TEST_CASE("an option of a writer outside its range is an error that names it", "[lines]") {
  const auto message = [](LineWriterOptions options) {
    return message_of([&] { LineWriter writer(std::move(options)); });
  };
  CHECK(contains(message({.file = nullptr}), "file"));
  CHECK(contains(message({.max_queued_bytes = 4'095}), "max_queued_bytes"));
  CHECK(contains(message({.exit_timeout = 61s}), "exit_timeout"));
  CHECK(contains(message({.exit_timeout = -1ms}), "exit_timeout"));
  CHECK(contains(message_of([] { (void)log_to_stderr({.max_queued_bytes = 0}); }),
                 "max_queued_bytes"));
}

}  // namespace
}  // namespace roost
