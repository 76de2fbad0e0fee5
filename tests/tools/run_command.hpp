#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foreplan {

/// What a command did.
struct CommandResult {
  int status = -1;  ///< exit status; -1 where it was killed
  std::string out, err;
  double seconds = 0;

  /// The one JSON document on standard output.
  nlohmann::ordered_json json() const { return nlohmann::ordered_json::parse(out); }
};

/// An unnamed file that takes what a command prints.
class Capture {
 public:
  Capture() : file_(std::tmpfile(), &std::fclose) {}
  int descriptor() const { return fileno(file_.get()); }
  std::string text() const {
    std::rewind(file_.get());
    std::string result;
    char block[4096];
    for (std::size_t n = 0; (n = std::fread(block, 1, sizeof block, file_.get())) > 0;) {
      result.append(block, n);
    }
    return result;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

/// Runs the built command with `arguments`; standard input is empty.
inline CommandResult run_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), FOREPLAN_COMMAND);
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  const Capture out, err;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, err.descriptor(), STDERR_FILENO);
  const auto started = std::chrono::steady_clock::now();
  pid_t process = 0;
  const int failed =
      posix_spawn(&process, FOREPLAN_COMMAND, &files, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  CommandResult result;
  if (failed != 0) return result;
  int status = 0;
  waitpid(process, &status, 0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.out = out.text();
  result.err = err.text();
  result.seconds = took.count();
  return result;
}

/// Nothing but one line on standard error that tells all of `words`, and that exit status.
inline void expect_complaint(const CommandResult& result, int status,
                             const std::vector<std::string>& words) {
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("foreplan: ")) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  for (const std::string& word : words) {
    EXPECT_NE(result.err.find(word), std::string::npos) << "no '" << word << "' in " << result.err;
  }
}

/// It ran; what it printed.
inline CommandResult expect_done(const std::vector<std::string>& arguments) {
  CommandResult result = run_command(arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result;
}

}  // namespace foreplan
