#include <algorithm>
#include <cmath>

#include "planner/bound.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {
namespace {

/// What a device holds of parameters under a keeping [B].
class KeptState {
 public:
  KeptState(const Task& task, const Keeping& keeping, const RankGroups& groups)
      : keeping_(keeping),
        groups_(groups),
        number_(static_cast<double>(element_size(task.precision).count)),
        stored_(static_cast<double>(element_size(task.stack.stored(task.precision)).count)),
        gradient_(static_cast<double>(task.stack.gradient_bytes)) {
    kept_ = static_cast<double>(moves_state(keeping) ? 0 : state_bytes(task));
  }

  double of(std::int64_t dense, std::int64_t expert) const {
    return shared(dense, expert, 3) * stored_ + shared(dense, expert, 2) * gradient_ +
           shared(dense, expert, 1) * kept_;
  }
  /// Zero 3: of two layers, whole.
  double gathered(const UnitSums& units) const {
    if (keeping_.zero < 3) return 0;
    return 2 * number_ * static_cast<double>(units.least_dense + units.least_expert);
  }

 private:
  /// @param from  the least stage of zero that shares it
  double shared(std::int64_t dense, std::int64_t expert, int from) const {
    if (keeping_.zero < from) return static_cast<double>(dense + expert);
    return static_cast<double>(dense) / groups_.data_ranks() +
           static_cast<double>(expert) / groups_.expert_data_ranks();
  }

  Keeping keeping_;
  const RankGroups& groups_;
  double number_, stored_, gradient_, kept_ = 0;
};

/// How many have room, or all that are wanted.
double many(double room, double each, double wanted) {
  return each > 0 ? std::floor(room / each * (1 + 1e-9)) : wanted;
}

}  // namespace

bool Bounds::may_hold(const Sizes& sizes, const Keeping& keeping, const UnitSums& units,
                      LayoutFacts& facts) const {
  const KeptState state(task_, keeping, facts.groups());
  const double left = static_cast<double>(largest_.count) - state.gathered(units);
  const std::int64_t saved = std::ranges::min(units.least_saved);
  const double each = state.of(units.least_dense, units.least_expert) +
                      (moves_activations(keeping) ? 0 : static_cast<double>(saved));
  const auto wanted = static_cast<double>(layers_.size());
  return left >= 0 && many(left, each, wanted) * sizes.pp >= wanted;
}

bool Bounds::may_fit(const Sizes& sizes, const Share& share, const Course& course,
                     const Keeping& keeping, const UnitSums& units, LayoutFacts& facts) {
  const KeptState state(task_, keeping, facts.groups());
  std::int64_t saved = units.least_saved[static_cast<std::size_t>(recompute_of(course.again))];
  if (course.again == Again::some) saved = std::min(saved, units.least_saved[0]);
  const PipelineShape shape{course.schedule, sizes.pp, course.vpp,
                            static_cast<int>(share.micro_batches)};
  const auto first = static_cast<std::size_t>(space_.chain().first_layer);
  const std::size_t end = first + static_cast<std::size_t>(space_.chain().layers);
  const auto outside = [&](std::size_t from, std::size_t to) {
    return state.of(units.dense[to] - units.dense[from], units.expert[to] - units.expert[from]);
  };
  const std::vector<Bytes>& capacity = devices(sizes).capacity;
  const double layer = state.of(units.least_dense, units.least_expert);
  const auto wanted = static_cast<double>(layers_.size());
  double room = 0;
  for (int s = 0; s < sizes.pp; ++s) {
    auto at_once = static_cast<double>(least_held(shape, s));
    if (moves_activations(keeping)) at_once = std::min(at_once, 2.0 / course.vpp);
    double left =
        static_cast<double>(capacity[static_cast<std::size_t>(s)].count) - state.gathered(units);
    if (s == 0) left -= outside(0, first);
    if (s + 1 == sizes.pp) left -= outside(end, units.dense.size() - 1);
    const double most = many(left, layer + at_once * static_cast<double>(saved), wanted);
    if (left < 0 || most < course.vpp) return false;
    room += std::min(most, wanted);
  }
  return room >= wanted;
}

}  // namespace foreplan
