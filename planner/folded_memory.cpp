#include <algorithm>

#include "planner/folded_step.hpp"

namespace foreplan {

/// What a virtual stage keeps of one micro-batch until its backward.
Bytes FoldedStep::saved(int virtual_stage) const {
  Bytes sum;
  for (const Piece& piece : stages_[static_cast<std::size_t>(virtual_stage)]) {
    sum += piece.count * kept_by(works_[piece.unit_class], piece.recompute);
  }
  return sum;
}

StageHolding FoldedStep::holding(int stage, Bytes activations) const {
  const auto s = static_cast<std::size_t>(stage);
  return {.task = task_,
          .zero = strategy_.zero,
          .offload = strategy_.offload,
          .groups = groups_,
          .chain = chain_,
          .works = works_,
          .chunks = by_stage_[s],
          .state = states_[s],
          .activations = activations};
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
    StageMemory memory = stage_memory(holding(s, activations[static_cast<std::size_t>(s)]));
    memory.stage = s;
    const Bytes needed = memory.peak + task_.stack.context_bytes;
    for (const Replica& replica : replicas_) {
      if (needed > spec(replica[static_cast<std::size_t>(s)]).memory) base_.feasible = false;
    }
    base_.peak_memory = std::max(base_.peak_memory, memory.peak);
    base_.stages.push_back(memory);
  }
}

}  // namespace foreplan
