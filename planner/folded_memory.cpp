#include <algorithm>

#include "planner/ceil_div.hpp"
#include "planner/folded_step.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {
/// What a virtual stage keeps of one micro-batch until its backward.
Bytes FoldedStep::saved(int virtual_stage) const {
  Bytes sum;
  for (const Piece& piece : stages_[static_cast<std::size_t>(virtual_stage)]) {
    const UnitWork& work = works_[piece.unit_class];
    const Bytes each = piece.recompute == Recompute::full        ? work.entering
                       : piece.recompute == Recompute::selective ? work.saved_selectively
                                                                 : work.saved;
    sum += piece.count * each;
  }
  return sum;
}

/// What exists only while a unit is at work: what full recomputation computes anew, and with zero 3 the
/// whole parameters of two units, one at work and one being gathered.
Bytes FoldedStep::transient(int stage) const {
  Bytes recomputed, gathered;
  for (int j = 0; j < shape_.virtual_stages(); ++j) {
    if (stage_of(shape_, j) != stage) continue;
    for (const Piece& piece : stages_[static_cast<std::size_t>(j)]) {
      const UnitWork& work = works_[piece.unit_class];
      if (piece.recompute == Recompute::full) recomputed = std::max(recomputed, work.saved);
      if (piece.recompute == Recompute::selective) {
        recomputed = std::max(recomputed, work.saved - work.saved_selectively);
      }
      gathered = std::max(gathered, (work.dense_parameters + work.expert_parameters) *
                                        element_size(task_.precision));
    }
  }
  return recomputed + (strategy_.zero == 3 ? 2 * gathered : Bytes{});
}

StageMemory FoldedStep::memory_of(int stage, const std::vector<Bytes>& activations) const {
  const StageState& state = states_[static_cast<std::size_t>(stage)];
  const auto shared = [&](bool sharded) {
    if (!sharded) return state.dense + state.expert;
    return ceil_div(state.dense, groups_.data_ranks()) +
           ceil_div(state.expert, groups_.expert_data_ranks());
  };
  const std::int64_t kept = state_bytes(task_);
  StageMemory memory{.stage = stage,
                     .peak = {},
                     .parameters = shared(strategy_.zero >= 3) * element_size(task_.precision),
                     .gradients = Bytes{shared(strategy_.zero >= 2) * task_.stack.gradient_bytes},
                     .optimizer = Bytes{shared(strategy_.zero >= 1) * kept},
                     .activations = activations[static_cast<std::size_t>(stage)],
                     .buffers = transient(stage)};
  if (offloads(Offload::optimizer)) {
    memory.optimizer_on_host = memory.optimizer;
    memory.optimizer = std::min(memory.optimizer, Bytes{state_at_work(task_) * kept});
  }
  memory.peak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.buffers;
  return memory;
}

/// Offloaded, a stage holds what one micro-batch is at work on and what is on its way.
void FoldedStep::limit_to_moving(std::vector<Bytes>& activations,
                                 const std::vector<ChunkMemory>& chunks) const {
  std::vector<Bytes> largest(activations.size());
  for (std::size_t j = 0; j < chunks.size(); ++j) {
    Bytes& stage = largest[static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)))];
    stage = std::max(stage, chunks[j].activations);
  }
  for (std::size_t s = 0; s < activations.size(); ++s) {
    activations[s] = std::min(activations[s], 2 * largest[s]);
  }
}

void FoldedStep::plan_memory() {
  std::vector<ChunkMemory> chunks;
  for (int j = 0; j < shape_.virtual_stages(); ++j) {
    const Bytes bytes = saved(j);
    chunks.push_back({.activations = bytes, .for_weight = bytes});
  }
  std::vector<Bytes> activations = evaluator_.peak_memory(chunks);
  if (offloads(Offload::activations)) limit_to_moving(activations, chunks);
  base_.strategy = strategy_;
  base_.tasks = evaluator_.actions();
  for (int s = 0; s < shape_.stages; ++s) {
    const StageMemory memory = memory_of(s, activations);
    const Bytes needed = memory.peak + task_.stack.context_bytes;
    for (const Replica& replica : replicas_) {
      if (needed > spec(replica[static_cast<std::size_t>(s)]).memory) base_.feasible = false;
    }
    base_.peak_memory = std::max(base_.peak_memory, memory.peak);
    base_.stages.push_back(memory);
  }
}

}  // namespace foreplan
