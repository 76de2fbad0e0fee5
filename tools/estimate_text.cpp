#include "tools/estimate_text.hpp"

#include <fmt/format.h>

#include "tools/text_table.hpp"

namespace foreplan {

std::string describe(const Estimate& estimate, std::int64_t global_batch) {
  const DeviceTime& time = estimate.breakdown;
  std::string text = fmt::format(
      "{}\nstep {} for {} samples: {:.4g} samples/s{}, MFU {:.1f} %, {} tasks, limited by {}\n"
      "mean device: compute {}, exposed communication {}, bubble {}, optimizer {}\n",
      format(estimate.strategy), format(estimate.step_time), global_batch, estimate.samples_per_s,
      estimate.tokens_per_s > 0 ? fmt::format(", {:.4g} tokens/s", estimate.tokens_per_s) : "",
      100 * estimate.mfu, estimate.tasks, name(estimate.limited_by), format(time.compute),
      format(time.exposed_communication), format(time.idle), format(time.optimizer));
  if (!estimate.feasible) text += "does not fit in the memory of its devices\n";
  TextTable table(
      {"stage", "peak", "parameters", "gradients", "optimizer", "activations", "buffers"});
  for (const StageMemory& stage : estimate.stages) {
    table.add({fmt::format("{}", stage.stage), format(stage.peak), format(stage.parameters),
               format(stage.gradients), format(stage.optimizer), format(stage.activations),
               format(stage.buffers)});
  }
  return text + "\n" + table.text();
}

}  // namespace foreplan
