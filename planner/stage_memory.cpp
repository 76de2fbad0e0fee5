#include "planner/stage_memory.hpp"

#include <set>

#include "planner/ceil_div.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {
namespace {

bool moves_activations(const StageHolding& stage) {
  return stage.offload == Offload::activations || stage.offload == Offload::all;
}

/// Of a unit at work, beyond what it keeps: its working set, and what recomputation makes anew.
Bytes at_work(const UnitWork& work, Recompute recompute) {
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
Bytes excess(const StageHolding& stage, const std::vector<UnitPiece>& pieces) {
  Bytes behind, most;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const UnitWork& work = stage.works[piece->unit_class];
    most = std::max(most, at_work(work, piece->recompute) - behind);
    if (!moves_activations(stage)) behind += piece->count * kept_by(work, piece->recompute);
  }
  return most;
}

/// Zero 3: parameters gathered as they are used, two layers' (one at work, one on its way) and all that is in
/// no layer; zero 2 and 3: the gradients of the unit that goes back, whole, as they are computed and
/// as they are reduced.
Bytes gathered(const StageHolding& stage) {
  if (stage.zero < 2) return {};
  const Bytes number = element_size(stage.task.precision);
  const std::int64_t reduced = stage.task.stack.gradient_bytes;
  const Bytes gradient = number + (reduced == number.count ? Bytes{} : Bytes{reduced});
  std::int64_t largest = 0, outside = 0, layer = 0;
  for (const std::vector<UnitPiece>& chunk : stage.chunks) {
    for (const UnitPiece& piece : chunk) {
      const UnitWork& work = stage.works[piece.unit_class];
      const std::int64_t parameters = work.dense_parameters + work.expert_parameters;
      largest = std::max(largest, parameters);
      if (stage.chain.classes[piece.unit_class].role == BlockRole::layer) {
        layer = std::max(layer, parameters);
      } else {
        outside += piece.count * parameters;
      }
    }
  }
  const Bytes gradients = largest * gradient;
  return stage.zero == 3 ? (2 * layer + outside) * number + gradients : gradients;
}

/// What exists while a micro-batch is at work and at no other time.
Bytes transient(const StageHolding& stage) {
  Bytes most;
  for (const std::vector<UnitPiece>& chunk : stage.chunks) {
    most = std::max(most, excess(stage, chunk));
  }
  return most + gathered(stage) + placeholders(stage);
}

/// Casts of weights that stay: one for products along rows, one for those along columns.
Bytes fp8_weights(const StageHolding& stage) {
  const bool stay = stage.task.stack.cached_fp8_weights && stage.zero < 3;
  const bool beside =
      !stage.task.stack.fp8_parameters || element_size(stage.task.precision).count != 2;
  return stay && beside ? 2 * stage.state.fp8 * element_size(DType::fp8) : Bytes{};
}

}  // namespace

Bytes kept_by(const UnitWork& work, Recompute recompute) {
  return recompute == Recompute::full        ? work.entering
         : recompute == Recompute::selective ? work.saved_selectively
                                             : work.saved;
}

Bytes placeholders(const StageHolding& stage) {
  std::set<std::size_t> layers;
  Bytes sum, other;
  for (const std::vector<UnitPiece>& chunk : stage.chunks) {
    for (const UnitPiece& piece : chunk) {
      const Bytes bytes = stage.works[piece.unit_class].placeholders;
      if (stage.chain.classes[piece.unit_class].role != BlockRole::layer) {
        other = std::max(other, bytes);
      } else if (layers.insert(piece.unit_class).second) {
        sum += bytes;
      }
    }
  }
  return sum + other;
}

/// What exists behind the last backward alone: buffers to reduce and to gather, the optimizer's copy of its
/// gradients as it is made. One follows the other.
StepBuffers step_buffers(const StageHolding& stage) {
  const StageState& state = stage.state;
  StepBuffers buffers;
  if (stage.zero != 1 && stage.zero != 2) return buffers;
  const Stack& stack = stage.task.stack;
  const Bytes number = element_size(stage.task.precision);
  const std::int64_t own = own_parameters(state, {.zero = stage.zero}, stage.groups);
  buffers.reduced = std::min(stack.reduce_buffer, (state.dense + state.expert) * number);
  if (stack.fp32_gradient_shard) {
    buffers.flat = own * number;
    buffers.shard = Bytes{4 * own};
  }
  buffers.gathered = std::min(stack.gather_buffer, (state.dense + state.expert) * number);
  return buffers;
}

StageMemory stage_memory(const StageHolding& stage) {
  const Task& task = stage.task;
  const StageState& state = stage.state;
  const auto shared = [&](bool sharded) {
    if (!sharded) return state.dense + state.expert;
    return ceil_div(state.dense, stage.groups.data_ranks()) +
           ceil_div(state.expert, stage.groups.expert_data_ranks());
  };
  const std::int64_t kept = state_bytes(task);
  Bytes gradients{shared(stage.zero >= 2) * task.stack.gradient_bytes};
  if (task.stack.micro_batch_gradients) {
    gradients += (state.dense + state.expert) * element_size(task.precision);
  }
  StageMemory memory{
      .peak = {},
      .parameters = shared(stage.zero >= 3) * element_size(task.stack.stored(task.precision)) +
                    fp8_weights(stage),
      .gradients = gradients,
      .optimizer = Bytes{shared(stage.zero >= 1) * kept},
      .activations = stage.activations,
      .buffers = transient(stage)};
  if (stage.offload == Offload::optimizer || stage.offload == Offload::all) {
    memory.optimizer_on_host = memory.optimizer;
    memory.optimizer = std::min(memory.optimizer, Bytes{state_at_work(task) * kept});
  }
  memory.buffers = std::max(memory.buffers, step_buffers(stage).most() - memory.activations);
  memory.peak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.buffers;
  return memory;
}

}  // namespace foreplan
