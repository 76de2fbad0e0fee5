// Asks for random training steps and holds every answer to what must be true of it:
//
//   random_strategies COUNT [SEED]
//
// Steps are numbered from SEED (0) on, so that "random_strategies 1 N" repeats step N alone. Prints what
// was refused how often and the slowest step; exits with 1 at the first answer that is wrong, with 3 if a
// step takes longer than a minute.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <string>

#include "tests/properties/step_properties.hpp"

namespace {

using namespace foreplan;

constexpr unsigned kMostSeconds = 60;

/// The kind of refusal: its text without numbers, names and lists.
std::string kind_of(const std::string& refusal) {
  static const std::regex kStrategy("[a-z_]+=[^ ]*,[^ ]*|layers=[^ ]*");
  static const std::regex kName(
      "'[^']*'|(which|but|:) [a-z0-9.-]+ ?([a-z0-9.-]+\\[[^ ]*)?|bf16|fp8|tf32");
  static const std::regex kNumber("-?[0-9]+(\\.[0-9]+)?");
  std::string kind = std::regex_replace(refusal, kStrategy, "*");
  for (const std::regex& part : {kName, kNumber}) kind = std::regex_replace(kind, part, "*");
  return kind;
}

struct Tally {
  std::uint64_t simulated = 0, refused = 0, slowest = 0;
  double slowest_s = 0;
  std::map<std::string, std::uint64_t> refusals;  ///< by kind
};

void add(Tally& tally, const Verdict& verdict, std::uint64_t number, double seconds) {
  if (verdict.refusal.empty()) {
    ++tally.simulated;
  } else {
    ++tally.refused;
    ++tally.refusals[kind_of(verdict.refusal)];
  }
  if (seconds > tally.slowest_s) {
    tally.slowest_s = seconds;
    tally.slowest = number;
  }
}

void print(const Tally& tally) {
  for (const auto& [kind, count] : tally.refusals) fmt::print("{:9}  {}\n", count, kind);
  fmt::print("{} simulated, {} refused; the slowest was step {} with {:.3f} s\n", tally.simulated,
             tally.refused, tally.slowest, tally.slowest_s);
}

extern "C" void say_that_it_hangs(int) {
  constexpr char kText[] = "random_strategies: the step after the last one printed hangs\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(3);
}

int run(std::uint64_t count, std::uint64_t seed) {
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  const bool alone = count == 1;
  Tally tally;
  for (std::uint64_t number = seed; number < seed + count; ++number) {
    const RandomStep step = source.draw(number);
    if (alone) fmt::print(stderr, "{}\n", describe(step));
    if (number % 1000 == 0) fmt::print(stderr, "step {}\r", number);
    ::alarm(kMostSeconds);
    const auto start = std::chrono::steady_clock::now();
    const Verdict verdict = judge(step);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (!verdict.violation.empty()) {
      fmt::print("step {}: {}\n  {}\n", number, verdict.violation, describe(step));
      return 1;
    }
    if (alone && !verdict.refusal.empty()) fmt::print("{}\n", verdict.refusal);
    add(tally, verdict, number, time.count());
  }
  print(tally);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: random_strategies COUNT [SEED]\n");
    return 2;
  }
  std::signal(SIGALRM, say_that_it_hangs);
  return run(std::strtoull(argv[1], nullptr, 10),
             argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0);
}
