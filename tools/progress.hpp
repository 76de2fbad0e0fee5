#pragma once

#include <chrono>
#include <string>

namespace foreplan {

/// A line on standard error that tells how far a long piece of work is: only on a terminal, only once
/// it has taken a second, gone again when the work is done.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void tell(std::int64_t done, std::int64_t all);

 private:
  std::string what_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point told_;
};

}  // namespace foreplan
