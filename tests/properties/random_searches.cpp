// Holds the search to what it promises, on random tasks:
//
//   random_searches plans COUNT [SEED]    the plan of small tasks equals that of simulating everything
//   random_searches bounds COUNT [SEED]   no bound exceeds the step below it; COUNT strategies
//
// Tasks are numbered from SEED (0) on. Prints what was seen; exits with 1 at the first violation.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/properties/random_search.hpp"

namespace {

using namespace foreplan;

int plans(std::uint64_t count, std::uint64_t seed) {
  const SmallTasks tasks(FOREPLAN_SOURCE_DIR "/models");
  std::uint64_t compared = 0, fitting = 0, mixed = 0, ordered = 0, unusual = 0;
  std::uint64_t number = seed;
  std::int64_t strategies = 0;
  for (; compared < count; ++number) {
    const Task task = tasks.draw(number);
    const SearchVerdict verdict = judge_search(task);
    if (verdict.strategies > kMostSimulated) continue;
    if (!verdict.violation.empty()) {
      fmt::print("task {}: {}\n  {}\n", number, verdict.violation, describe(task));
      return 1;
    }
    ++compared;
    strategies += verdict.strategies;
    fitting += verdict.fits ? 1 : 0;
    mixed += task.cluster.specs().size() > 1 ? 1 : 0;
    ordered += verdict.ordered ? 1 : 0;
    unusual += verdict.unusual ? 1 : 0;
    if (compared % 100 == 0) fmt::print(stderr, "{} compared\r", compared);
  }
  fmt::print(
      "{} tasks of {} compared with all of their {} strategies: the same plan and time; {} have "
      "one, {} have two kinds of devices, {} several orders of ranks, of which another than the "
      "usual is best "
      "in {}\n",
      compared, number - seed, strategies, fitting, mixed, ordered, unusual);
  return 0;
}

int bounds(std::uint64_t count, std::uint64_t seed) {
  constexpr int kWalks = 200;
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  std::uint64_t walked = 0, fitting = 0;
  std::vector<double> tightness;
  for (std::uint64_t number = seed; walked < count; ++number) {
    for (const BoundVerdict& verdict : judge_bounds(source, number, kWalks)) {
      if (!verdict.violation.empty()) {
        fmt::print("task {}: {}\n", number, verdict.violation);
        return 1;
      }
      ++walked;
      fitting += verdict.fits ? 1 : 0;
      tightness.push_back(verdict.tightness);
    }
    if (number % 100 == 0) fmt::print(stderr, "{} walked\r", walked);
  }
  std::sort(tightness.begin(), tightness.end());
  const auto quantile = [&](double q) {
    return tightness[static_cast<std::size_t>(q * static_cast<double>(tightness.size() - 1))];
  };
  fmt::print(
      "{} strategies, {} of them fit: no bound exceeds its step; bound over step: least {:.3f}, a "
      "tenth below {:.3f}, median {:.4f}\n",
      walked, fitting, quantile(0), quantile(0.1), quantile(0.5));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (argc < 3 || argc > 4 || (what != "plans" && what != "bounds")) {
    fmt::print(stderr, "usage: random_searches plans|bounds COUNT [SEED]\n");
    return 2;
  }
  const std::uint64_t count = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t seed = argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 0;
  return what == "plans" ? plans(count, seed) : bounds(count, seed);
}
