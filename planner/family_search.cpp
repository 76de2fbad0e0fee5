#include "planner/family_search.hpp"

#include <algorithm>
#include <utility>

#include "planner/layer_split.hpp"
#include "planner/search.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Ways to save memory, from none to the most.
std::vector<Recompute> savers_of(const Task& task, const Strategy& strategy) {
  std::vector<Recompute> savers{Recompute::none};
  if (is_apart(strategy)) return savers;
  const bool attention =
      std::any_of(task.model.layers().begin(), task.model.layers().end(),
                  [](const Layer& layer) { return layer.kind == LayerKind::attention; });
  if (attention) savers.push_back(Recompute::selective);
  savers.push_back(Recompute::full);
  return savers;
}

/// Parameters, gradients and optimizer state of the fullest device, at least.
Bytes least_state(const Task& task, const Strategy& s) {
  const double mine = static_cast<double>(task.model.parameter_count()) / s.tp / s.pp / s.ep / s.bp;
  const auto replicas = static_cast<double>(s.dp) * s.cp;
  const auto share = [&](int zero) { return s.zero >= zero ? mine / replicas : mine; };
  const double master = task.stack.keeps_master(task.precision) ? 4 : 0;
  const double bytes =
      share(3) * static_cast<double>(element_size(task.stack.stored(task.precision)).count) +
      share(2) * task.stack.gradient_bytes +
      share(1) * (4 * state_tensors(task.optimizer) + master);
  return Bytes{static_cast<std::int64_t>(bytes)};
}

Bytes most_memory(const Cluster& cluster) {
  Bytes most;
  for (const DeviceSpec& spec : cluster.specs()) most = std::max(most, spec.memory);
  return most;
}

/// Of a network that runs, estimate() takes the balanced partition.
Strategy with_layers(const Task& task, Strategy strategy) {
  if (strategy.pp == 1 || !strategy.layers.empty() || !is_executable(task.model)) return strategy;
  Strategy plain = strategy;
  plain.zero = 0;
  plain.sp = false;
  plain.recompute = Recompute::none;
  strategy.layers = complete(task, plain).layers;
  return strategy;
}

struct Candidate {
  Duration bound{};
  Strategy strategy;
  std::size_t layout = 0;
};

class MemberSearch {
 public:
  MemberSearch(const Task& task, Family family, const WorkBounds& bounds)
      : task_(task), family_(family), bounds_(bounds), room_(most_memory(task.cluster)) {}

  Member best(int devices) {
    const Layouts found = layouts(task_, family_, devices);
    if (found.strategies.empty()) {
      member_.obstacle = found.obstacle;
      return finished();
    }
    if (family_ == Family::layer_split && devices > 1) {
      split_layers(devices);
      return finished();
    }
    devices_ = devices;
    collect(found.strategies);
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.bound, a.strategy) < std::tie(b.bound, b.strategy);
    });
    too_large_.resize(found.strategies.size());
    for (const Candidate& candidate : candidates_) {
      if (member_.best && candidate.bound > member_.best->step_time) break;
      consider(candidate);
    }
    return finished();
  }

 private:
  void collect(const std::vector<Strategy>& strategies) {
    for (std::size_t layout = 0; layout < strategies.size(); ++layout) {
      Strategy strategy = strategies[layout];
      for (const std::int64_t size : micro_batches_of(family_, task_.global_batch / strategy.dp)) {
        strategy.micro_batch = size;
        add(strategy, layout);
      }
    }
  }

  void add(const Strategy& strategy, std::size_t layout) {
    try {
      const Strategy whole = with_layers(task_, strategy);
      const auto bound = bounds_.bound(whole, member_.reason);
      if (bound) candidates_.push_back({*bound, whole, layout});
    } catch (const Error& error) {
      member_.reason = error.what();
    }
  }

  /// Forecasts a candidate with the least saver that fits. A layout holds no less with a larger
  /// micro-batch, so what did not fit with a smaller one is not tried.
  void consider(const Candidate& candidate) {
    const std::vector<Recompute> savers = savers_of(task_, candidate.strategy);
    std::vector<std::int64_t>& limits = too_large_[candidate.layout];
    limits.resize(savers.size(), kMostGlobalBatch + 1);
    for (std::size_t i = 0; i < savers.size(); ++i) {
      if (*candidate.strategy.micro_batch >= limits[i]) continue;
      Strategy strategy = candidate.strategy;
      strategy.recompute = savers[i];
      if (tried_ && is_beaten(strategy)) return;
      if (fits(strategy)) return;
      if (!laid_out_) return;
      limits[i] = *candidate.strategy.micro_batch;
    }
  }

  /// Recomputing, it works more than the best's whole step.
  bool is_beaten(const Strategy& strategy) {
    if (!member_.best || strategy.recompute == Recompute::none) return false;
    const auto bound = bounds_.bound(strategy, member_.reason);
    return bound && *bound > member_.best->step_time;
  }

  void split_layers(int devices) {
    devices_ = devices;
    const std::vector<LayerId> places = split_places(task_.model);
    for (const std::int64_t size : micro_batches_of(family_, task_.global_batch / devices)) {
      const LayerSplit split(task_, {.dp = devices, .micro_batch = size});
      for (const LayerId from : places) {
        try {
          keep(split.estimate(from), task_.model.layer(from).name);
          tried_ = true;
        } catch (const Error& error) {
          member_.reason = error.what();
        }
      }
    }
  }

  /// Forecasts a strategy and keeps it if it is the best; whether it fits.
  bool fits(const Strategy& strategy) {
    laid_out_ = true;
    if (least_state(task_, strategy) + task_.stack.context_bytes > room_) {
      tried_ = true;
      return false;
    }
    try {
      const Estimate found = estimate(task_, strategy);
      tried_ = true;
      keep(found, {});
      return found.feasible;
    } catch (const Error& error) {
      member_.reason = error.what();
      laid_out_ = false;
      return false;
    }
  }

  /// Keeps what fits and is the best.
  void keep(const Estimate& found, const std::string& split_from) {
    std::optional<Estimate>& best = member_.best;
    const auto rank = [](const Estimate& e) { return std::tie(e.step_time, e.strategy); };
    if (!found.feasible || (best && !(rank(found) < rank(*best)))) return;
    best = found;
    member_.split_from = split_from;
  }

  Member finished() {
    if (member_.best) {
      member_.obstacle = Obstacle::none;
      member_.reason.clear();
      return std::move(member_);
    }
    if (tried_) {
      member_.obstacle = Obstacle::memory;
      member_.reason.clear();
    } else if (member_.obstacle == Obstacle::none) {
      member_.obstacle = usual_obstacle(task_, family_, devices_);
    }
    return std::move(member_);
  }

  const Task& task_;
  Family family_;
  const WorkBounds& bounds_;
  Bytes room_;
  int devices_ = 1;
  Member member_;
  std::vector<Candidate> candidates_;
  /// By layout and saver: the least micro-batch that is known not to fit.
  std::vector<std::vector<std::int64_t>> too_large_;
  bool tried_ = false;     ///< some member could be laid out
  bool laid_out_ = false;  ///< the last one could
};

Member planned(const Task& task, int devices) {
  Member member;
  try {
    member.best = plan(task, {.devices = devices, .top = 0}).best;
    if (!member.best) member.obstacle = Obstacle::memory;
  } catch (const Error& error) {
    member.obstacle = usual_obstacle(task, Family::hybrid, devices);
    member.reason = error.what();
  }
  return member;
}

}  // namespace

Member best_member(const Task& task, Family family, int devices, const WorkBounds& bounds) {
  if (family == Family::hybrid) return planned(task, devices);
  return MemberSearch(task, family, bounds).best(devices);
}

}  // namespace foreplan
