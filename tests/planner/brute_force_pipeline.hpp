#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "planner/pipeline_evaluator.hpp"
#include "sim/error.hpp"

// A pipeline's times by the definition alone: no order, no cache, no code shared with the evaluator.

namespace foreplan {

struct BruteForceTimes {
  Duration makespan{};
  bool deadlock = false;
  std::vector<std::vector<ActionTimes>> stages;
};

/// Begins with every action at 0 and raises finish times until the definition holds for all of them:
/// the least fixpoint. What has not settled after as many rounds as there are actions waits for itself.
class BruteForce {
 public:
  BruteForce(const PipelineShape& shape, const PipelineCosts& costs)
      : shape_(shape), costs_(costs) {
    for (int s = 0; s < shape.stages; ++s) {
      lists_.push_back(pipeline_schedule(shape, s));
      for (std::size_t i = 0; i < lists_.back().size(); ++i) {
        const PipelineAction& a = lists_.back()[i];
        where_[{pass(a), a.micro_batch, place(s, a.chunk)}] = {static_cast<std::size_t>(s), i};
      }
      times_.emplace_back(lists_.back().size());
      actions_ += lists_.back().size();
    }
  }

  BruteForceTimes run() {
    BruteForceTimes result;
    bool changed = true;
    for (std::size_t round = 0; changed && round <= actions_; ++round) changed = raise_all();
    result.deadlock = changed;
    for (const auto& stage : times_) {
      if (!stage.empty()) result.makespan = std::max(result.makespan, stage.back().finish);
    }
    result.stages = times_;
    return result;
  }

 private:
  using Kind = PipelineAction::Kind;
  enum class Pass { forward, backward, weight };

  static Pass pass(const PipelineAction& a) {
    if (a.kind == Kind::forward) return Pass::forward;
    return a.kind == Kind::backward_weight ? Pass::weight : Pass::backward;
  }
  bool there_and_back() const {
    return shape_.schedule == Schedule::zb_v || shape_.schedule == Schedule::dualpipe;
  }
  /// Written down again, not asked of virtual_stage().
  int place(int stage, int chunk) const {
    if (there_and_back()) return chunk == 0 ? stage : 2 * shape_.stages - 1 - stage;
    return chunk * shape_.stages + stage;
  }
  int device(int at) const {
    return there_and_back() && at >= shape_.stages ? 2 * shape_.stages - 1 - at
                                                   : at % shape_.stages;
  }
  bool linked(int from, int to) const {
    if (std::min(from, to) < 0 || std::max(from, to) >= shape_.stages * shape_.chunks) return false;
    return shape_.schedule != Schedule::dualpipe || std::max(from, to) != shape_.stages;
  }
  HopCost hop(int from, int to) const {
    if (!linked(from, to) || device(from) == device(to) || costs_.hops.empty()) return {};
    return costs_.hops[static_cast<std::size_t>(std::min(from, to))];
  }
  Duration duration(const PipelineAction& a, int at) const {
    const VirtualStageCost& cost = costs_.stages[static_cast<std::size_t>(at)];
    if (a.kind == Kind::forward) return cost.forward;
    if (a.kind == Kind::backward_input) return cost.backward_input;
    if (a.kind == Kind::backward_weight) return cost.backward_weight;
    return cost.backward_input + cost.backward_weight;
  }
  /// How long before its end `a` lets its result go.
  Duration tail(const PipelineAction& a, int at) const {
    return a.kind == Kind::backward ? costs_.stages[static_cast<std::size_t>(at)].backward_tail
                                    : Duration{};
  }
  /// How long a stage stays busy with sending the result of `a`.
  Duration sending(const PipelineAction& a, int at) const {
    const bool forward = a.kind == Kind::forward;
    if (a.kind == Kind::backward_weight) return {};
    const HopCost way = hop(at, forward ? at + 1 : at - 1);
    if (!way.blocking) return {};
    return forward ? way.forward : std::max(Duration{}, way.backward - tail(a, at));
  }

  bool raise_all() {
    bool changed = false;
    for (std::size_t s = 0; s < lists_.size(); ++s) {
      for (std::size_t i = 0; i < lists_[s].size(); ++i) changed |= raise(s, i);
    }
    return changed;
  }
  bool raise(std::size_t s, std::size_t i) {
    const PipelineAction& a = lists_[s][i];
    const int at = place(static_cast<int>(s), a.chunk);
    Duration start{};
    if (i > 0) {
      const PipelineAction& before = lists_[s][i - 1];
      start = times_[s][i - 1].finish + sending(before, place(static_cast<int>(s), before.chunk));
    }
    const bool forward = a.kind == Kind::forward;
    const int from = forward ? at - 1 : at + 1;
    if (a.kind != Kind::backward_weight && linked(from, at)) {
      const auto [stage, index] = where_.at({pass(a), a.micro_batch, from});
      const HopCost way = hop(from, at);
      const Duration gone = times_[stage][index].finish - tail(lists_[stage][index], from);
      start = std::max(start, gone + (forward ? way.forward : way.backward));
    }
    const ActionTimes now{start, start + duration(a, at)};
    const bool changed = now.start != times_[s][i].start || now.finish != times_[s][i].finish;
    times_[s][i] = now;
    return changed;
  }

  const PipelineShape& shape_;
  const PipelineCosts& costs_;
  std::vector<std::vector<PipelineAction>> lists_;
  std::map<std::tuple<Pass, int, int>, std::pair<std::size_t, std::size_t>> where_;
  std::vector<std::vector<ActionTimes>> times_;
  std::size_t actions_ = 0;
};

inline BruteForceTimes brute_force(const PipelineShape& shape, const PipelineCosts& costs) {
  return BruteForce(shape, costs).run();
}

/// Every shape of a grid that its schedule allows.
inline std::vector<PipelineShape> shapes(int most_stages, int most_micro_batches) {
  std::vector<PipelineShape> all;
  for (const Schedule schedule : kSchedules) {
    for (int p = 1; p <= most_stages; ++p) {
      for (int v = 1; v <= 4; ++v) {
        for (int m = 1; m <= most_micro_batches; ++m) {
          const PipelineShape shape{schedule, p, v, m};
          try {
            check_pipeline(shape);
          } catch (const Error&) {
            continue;
          }
          all.push_back(shape);
        }
      }
    }
  }
  return all;
}

}  // namespace foreplan
