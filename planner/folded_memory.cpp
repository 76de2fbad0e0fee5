#include <algorithm>
#include <set>

#include "planner/ceil_div.hpp"
#include "planner/folded_step.hpp"

namespace foreplan {
Bytes FoldedStep::kept(const UnitWork& work, Recompute recompute) {
  return recompute == Recompute::full        ? work.entering
         : recompute == Recompute::selective ? work.saved_selectively
                                             : work.saved;
}

/// What a virtual stage keeps of one micro-batch until its backward.
Bytes FoldedStep::saved(int virtual_stage) const {
  Bytes sum;
  for (const Piece& piece : stages_[static_cast<std::size_t>(virtual_stage)]) {
    const UnitWork& work = works_[piece.unit_class];
    sum += piece.count * kept(work, piece.recompute);
  }
  return sum;
}

/// Of a unit at work, beyond what it keeps: its working set, and what recomputation makes anew.
Bytes FoldedStep::at_work(const UnitWork& work, Recompute recompute) {
  const Bytes moving = std::max(work.working.forward, work.working.backward);
  switch (recompute) {
    case Recompute::none:
      return moving;
    case Recompute::selective: {
      Bytes anew;
      for (const SavedBytes& item : work.items) {
        if (item.when == SavedBytes::When::unless_selective) anew += item.bytes;
      }
      return moving + anew;
    }
    case Recompute::full:
      return moving + work.saved - work.entering_saved;
  }
  return moving;
}

/// The most that a virtual stage needs beyond what it keeps of a micro-batch. While a unit is at work,
/// forward has not kept anything of those behind it yet, backward nothing of them any more.
Bytes FoldedStep::excess(int virtual_stage) const {
  Bytes behind, most;
  const std::vector<Piece>& pieces = stages_[static_cast<std::size_t>(virtual_stage)];
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const UnitWork& work = works_[piece->unit_class];
    most = std::max(most, at_work(work, piece->recompute) - behind);
    if (!offloads(Offload::activations)) behind += piece->count * kept(work, piece->recompute);
  }
  return most;
}

/// Zero 3: parameters gathered as they are used, two layers' (one at work, one on its way) and all that is in
/// no layer; zero 2 and 3: the gradients of the unit that goes back, whole, as they are computed and
/// as they are reduced.
Bytes FoldedStep::gathered(int stage) const {
  if (strategy_.zero < 2) return {};
  const Bytes number = element_size(task_.precision);
  const std::int64_t reduced = task_.stack.gradient_bytes;
  const Bytes gradient = number + (reduced == number.count ? Bytes{} : Bytes{reduced});
  std::int64_t largest = 0, outside = 0, layer = 0;
  for (int j = 0; j < shape_.virtual_stages(); ++j) {
    if (stage_of(shape_, j) != stage) continue;
    for (const Piece& piece : stages_[static_cast<std::size_t>(j)]) {
      const UnitWork& work = works_[piece.unit_class];
      const std::int64_t parameters = work.dense_parameters + work.expert_parameters;
      largest = std::max(largest, parameters);
      if (chain_.classes[piece.unit_class].role == BlockRole::layer) {
        layer = std::max(layer, parameters);
      } else {
        outside += piece.count * parameters;
      }
    }
  }
  const Bytes gradients = largest * gradient;
  return strategy_.zero == 3 ? (2 * layer + outside) * number + gradients : gradients;
}

/// What stands for weights' gradients: of all kinds of layers, and of whatever else is largest.
Bytes FoldedStep::placeholders(int stage) const {
  std::set<std::size_t> layers;
  Bytes sum, other;
  for (int j = 0; j < shape_.virtual_stages(); ++j) {
    if (stage_of(shape_, j) != stage) continue;
    for (const Piece& piece : stages_[static_cast<std::size_t>(j)]) {
      const Bytes bytes = works_[piece.unit_class].placeholders;
      if (chain_.classes[piece.unit_class].role != BlockRole::layer) {
        other = std::max(other, bytes);
      } else if (layers.insert(piece.unit_class).second) {
        sum += bytes;
      }
    }
  }
  return sum + other;
}

/// What exists while a micro-batch is at work and at no other time.
Bytes FoldedStep::transient(int stage) const {
  Bytes most;
  for (int j = 0; j < shape_.virtual_stages(); ++j) {
    if (stage_of(shape_, j) == stage) most = std::max(most, excess(j));
  }
  return most + gathered(stage) + placeholders(stage);
}

/// What exists behind the last backward alone: buffers to reduce and to gather, the optimizer's copy of its
/// gradients as it is made. One follows the other.
FoldedStep::StepBuffers FoldedStep::step_buffers(const StageState& state) const {
  StepBuffers buffers;
  if (strategy_.zero != 1 && strategy_.zero != 2) return buffers;
  const Stack& stack = task_.stack;
  const Bytes number = element_size(task_.precision);
  const std::int64_t own = own_parameters(state, strategy_, groups_);
  buffers.reduced = std::min(stack.reduce_buffer, (state.dense + state.expert) * number);
  if (stack.fp32_gradient_shard) {
    buffers.flat = own * number;
    buffers.shard = Bytes{4 * own};
  }
  buffers.gathered = std::min(stack.gather_buffer, (state.dense + state.expert) * number);
  return buffers;
}

StageMemory FoldedStep::memory_of(int stage, const std::vector<Bytes>& activations) const {
  const StageState& state = states_[static_cast<std::size_t>(stage)];
  const auto shared = [&](bool sharded) {
    if (!sharded) return state.dense + state.expert;
    return ceil_div(state.dense, groups_.data_ranks()) +
           ceil_div(state.expert, groups_.expert_data_ranks());
  };
  const bool master = task_.stack.keeps_master(task_.precision);
  const std::int64_t state_bytes = 4 * state_tensors(task_.optimizer) + (master ? 4 : 0);
  const Bytes stored = element_size(task_.stack.stored(task_.precision));
  Bytes gradients{shared(strategy_.zero >= 2) * task_.stack.gradient_bytes};
  if (task_.stack.micro_batch_gradients) {
    gradients += (state.dense + state.expert) * element_size(task_.precision);
  }
  StageMemory memory{.stage = stage,
                     .peak = {},
                     .parameters = shared(strategy_.zero >= 3) * stored + fp8_weights(state),
                     .gradients = gradients,
                     .optimizer = Bytes{shared(strategy_.zero >= 1) * state_bytes},
                     .activations = activations[static_cast<std::size_t>(stage)],
                     .buffers = transient(stage)};
  if (offloads(Offload::optimizer)) {
    // Two buckets' worth is on the device, one at work and one on its way.
    const std::int64_t at_work = 2 * task_.stack.bucket.count / task_.stack.gradient_bytes;
    memory.optimizer_on_host = memory.optimizer;
    memory.optimizer = std::min(memory.optimizer, Bytes{at_work * state_bytes});
  }
  memory.buffers = std::max(memory.buffers, step_buffers(state).most() - memory.activations);
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
