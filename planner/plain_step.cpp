#include "planner/plain_step.hpp"

#include <algorithm>

#include "models/layer_ops.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {

StageMemory plain_memory(const Task& task, const std::vector<const UnitWork*>& units) {
  std::int64_t own = 0;
  for (const UnitWork* unit : units) own += unit->dense_parameters + unit->expert_parameters;
  const Stack& stack = task.stack;
  StageMemory memory;
  memory.parameters = own * element_size(stack.stored(task.precision));
  memory.gradients = Bytes{own * stack.gradient_bytes};
  if (stack.micro_batch_gradients) memory.gradients += own * element_size(task.precision);
  memory.optimizer = Bytes{own * state_bytes(task)};
  Bytes excess, placeholders;
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    const Bytes moving = std::max((*unit)->working.forward, (*unit)->working.backward);
    excess = std::max(excess, moving - memory.activations);
    memory.activations += (*unit)->saved;
    placeholders += (*unit)->placeholders;
  }
  memory.buffers = excess + placeholders;
  memory.peak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.buffers;
  return memory;
}

void fill_plain_rates(const Task& task, Estimate& estimate) {
  const double step = seconds(estimate.step_time);
  estimate.samples_per_s = step > 0 ? static_cast<double>(task.global_batch) / step : 0;
  const Positions& rows = task.model.input_positions();
  if (rows.source + rows.target > 0) {
    estimate.tokens_per_s = estimate.samples_per_s * static_cast<double>(rows.count(task.lengths));
  }
  const Flops once = matrix_flops(task.model, {.samples = 1, .lengths = task.lengths});
  estimate.mfu = estimate.hfu = utilisation(task, once * static_cast<double>(task.global_batch),
                                            estimate.step_time, estimate.strategy.devices());
  estimate.limited_by = limit_of(estimate);
}

}  // namespace foreplan
