#include <algorithm>

#include "planner/folded_step.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {

Duration FoldedStep::hop_time(int from, int to) const {
  const Piece& last = stages_[static_cast<std::size_t>(from)].back();
  return groups_.activations_hop(stage_of(shape_, from), stage_of(shape_, to),
                                 works_[last.unit_class].leaving,
                                 {.sp = strategy_.sp, .scatter = task_.stack.scatter_activations});
}

void FoldedStep::plan_exchanges() {
  for (const UnitWork& work : works_) {
    ShardedUnit unit;
    if (strategy_.zero >= 2) {
      const std::int64_t size = task_.stack.gradient_bytes;
      unit.reduce = over_replicas(work, CollectiveKind::reduce_scatter, size, groups_);
    }
    if (strategy_.zero == 3) {
      const std::int64_t size = element_size(task_.precision).count;
      unit.gather = over_replicas(work, CollectiveKind::all_gather, size, groups_);
    }
    sharded_.push_back(unit);
  }
  for (const std::vector<Piece>& pieces : stages_) {
    std::vector<const UnitWork*> units;
    for (const Piece& piece : pieces) {
      units.insert(units.end(), static_cast<std::size_t>(piece.count), &works_[piece.unit_class]);
    }
    std::reverse(units.begin(), units.end());
    // With zero >= 2 gradients have gone with each micro-batch.
    const bool aggregated = strategy_.zero < 2;
    buckets_.push_back(aggregated ? plan_buckets(units, strategy_, groups_, task_.stack)
                                  : std::vector<BucketSend>{});
  }
  const bool blocks = task_.stack.messages_block == Blocking::always ||
                      (task_.stack.messages_block == Blocking::plain && strategy_.vpp == 1);
  for (int j = 0; j + 1 < shape_.virtual_stages(); ++j) {
    const Duration hop = has_next(shape_, j) ? hop_time(j, j + 1) : Duration{};
    hops_.push_back({.forward = hop, .backward = hop, .blocking = blocks});
  }
}

void FoldedStep::plan_ends() {
  const auto p = static_cast<std::size_t>(shape_.stages);
  const auto share = [&](std::size_t a, std::size_t b, std::int64_t parameters) {
    if (a == b || parameters == 0) return;
    const Bytes bytes{parameters * task_.stack.gradient_bytes};
    const GroupPlacement pair = groups_.stages(static_cast<int>(a), static_cast<int>(b));
    shared_.push_back({a, b, groups_.time(CollectiveKind::all_reduce, bytes, pair)});
  };
  share(0, p - 1, tied_);
  for (std::size_t s = 0; shape_.schedule == Schedule::dualpipe && s < p / 2; ++s) {
    share(s, p - 1 - s, states_[s].dense + states_[s].expert);
  }
  if (task_.stack.clip_gradients && p > 1) {
    norm_ = 2 * groups_.stage_hop(0, shape_.stages - 1, Bytes{4});
  }
  for (const StageState& state : states_) {
    gathers_.push_back(gather_updated(state, strategy_, groups_, task_.stack,
                                      task_.stack.stored(task_.precision)));
    updates_.push_back(update_ops(task_, own_parameters(state, strategy_, groups_), state.fp8));
  }
}

void FoldedStep::count_flops() {
  model_flops_ = sample_flops_ * static_cast<double>(task_.global_batch);
  double recomputed = 0;
  for (const std::vector<Piece>& pieces : stages_) {
    for (const Piece& piece : pieces) {
      for (const LayerWork& layer : works_[piece.unit_class].layers) {
        const bool again =
            (piece.recompute == Recompute::full && layer.recomputed) ||
            (piece.recompute == Recompute::selective && layer.recomputed_selectively);
        if (!again) continue;
        for (const Op& op : layer.ops.forward) recomputed += op.matrix.count * piece.count;
      }
    }
  }
  const double ranks = static_cast<double>(strategy_.dp) * strategy_.tp * strategy_.cp;
  const double chains = shape_.schedule == Schedule::dualpipe ? 2 : 1;
  const auto micro_batches = static_cast<double>(batch_.micro_batches);
  executed_flops_ = model_flops_ + Flops{recomputed / chains * micro_batches * ranks};
}

}  // namespace foreplan
