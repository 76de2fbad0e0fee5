#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "planner/best_first.hpp"
#include "planner/divisors.hpp"
#include "planner/partition.hpp"
#include "planner/stage_layout.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

bool valid(const Task& task, const Strategy& strategy, int devices) {
  try {
    check(strategy, task.model, devices, task.global_batch);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Where not all partitions are looked at: the balanced one, and that with as many layers each, as anyone would
/// cut by hand.
std::vector<std::vector<int>> usual_partitions(const Task& task, const Strategy& strategy) {
  std::vector<std::vector<int>> found;
  try {
    found.push_back(complete(task, strategy).layers);
    std::vector<int> even = even_layers(unit_chain(task.model), strategy.pp);
    if (even != found.front()) found.push_back(std::move(even));
  } catch (const Error&) {
    // There are not as many legal cuts.
  }
  return found;
}

/// Adds the variants of one (dp, tp, pp, micro_batch).
void add_pipelines(const Task& task, Strategy strategy, std::vector<Strategy>& space) {
  const int layers = static_cast<int>(task.model.size()) - 1;
  if (strategy.pp == 1) {
    strategy.layers = {layers};
    space.push_back(strategy);
    return;
  }
  std::vector<std::vector<int>> partitions =
      all_partitions(task.model, strategy.pp, kMostPartitions);
  if (partitions.empty() && layers > strategy.pp) partitions = usual_partitions(task, strategy);
  for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
    strategy.schedule = schedule;
    for (const std::vector<int>& partition : partitions) {
      strategy.layers = partition;
      space.push_back(strategy);
    }
  }
}

auto rank_of(const Estimate& estimate) {
  return std::make_tuple(!estimate.feasible, estimate.step_time, estimate.strategy.devices(),
                         estimate.strategy);
}

/// Keeps the best of each family of strategies that differ in their partition only.
class Board {
 public:
  void add(const Estimate& estimate) {
    const Strategy& s = estimate.strategy;
    const auto key = std::make_tuple(s.dp, s.tp, s.pp, s.micro_batch, s.schedule);
    const auto [place, fresh] = best_.try_emplace(key, estimate);
    if (!fresh && rank_of(estimate) < rank_of(place->second)) place->second = estimate;
  }

  std::vector<Estimate> ranked() const {
    std::vector<Estimate> all;
    for (const auto& [key, estimate] : best_) all.push_back(estimate);
    std::sort(all.begin(), all.end(),
              [](const Estimate& a, const Estimate& b) { return rank_of(a) < rank_of(b); });
    return all;
  }

 private:
  std::map<std::tuple<int, int, int, std::optional<std::int64_t>, Schedule>, Estimate> best_;
};

}  // namespace

std::vector<Strategy> strategy_space(const Task& task, int devices) {
  std::vector<Strategy> space;
  for (int dp = 1; dp <= devices; ++dp) {
    for (int tp = 1; dp * tp <= devices; ++tp) {
      for (int pp = 1; dp * tp * pp <= devices; ++pp) {
        Strategy strategy{.dp = dp, .tp = tp, .pp = pp};
        if (!valid(task, strategy, devices)) continue;
        for (const std::int64_t size : micro_batch_sizes(task.global_batch / dp)) {
          strategy.micro_batch = size;
          add_pipelines(task, strategy, space);
        }
      }
    }
  }
  return space;
}

Plan search_runnable(const Task& task, const SearchOptions& options, int devices) {
  Plan result;
  result.one_device = estimate(task, {});
  const std::vector<Strategy> space = strategy_space(task, devices);
  Board board;
  Certificate& certificate = result.certificate;
  certificate.strategies = std::ssize(space);
  bool stopped = false;
  for (const Strategy& strategy : space) {
    stopped = stopped || (options.stop && options.stop());
    if (stopped) {
      ++certificate.open;
      continue;
    }
    const Estimate found = estimate(task, strategy);
    board.add(found);
    ++(found.feasible ? certificate.simulated : certificate.out_of_memory);
    if (options.progress) {
      options.progress(certificate.simulated + certificate.out_of_memory, certificate.strategies);
    }
  }
  std::vector<Estimate> ranked = board.ranked();
  if (!ranked.empty() && ranked.front().feasible) {
    result.best = ranked.front();
    ranked.erase(ranked.begin());
    // What is not simulated here has no bound.
    if (!stopped) certificate.lower_bound = result.best->step_time;
    if (stopped) certificate.gap = std::numeric_limits<double>::infinity();
  }
  if (ranked.size() > options.top) ranked.resize(options.top);
  result.alternatives = std::move(ranked);
  return result;
}

}  // namespace foreplan
