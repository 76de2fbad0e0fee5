#include "tools/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace foreplan {

using namespace std::chrono_literals;

Progress::Progress(std::string what)
    : what_(std::move(what)),
      terminal_(isatty(STDERR_FILENO) == 1),
      started_(std::chrono::steady_clock::now()),
      told_(started_) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::tell(std::int64_t done, std::int64_t all) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - started_ < 1s || now - told_ < 100ms) return;
  told_ = now;
  shown_ = true;
  std::fputs(fmt::format("\r\033[K{}: {} of {}", what_, done, all).c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace foreplan
