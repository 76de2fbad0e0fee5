#include "planner/optimizer_update.hpp"

#include <string>

#include "models/kernel_features.hpp"
#include "models/op_cost.hpp"

namespace foreplan {

std::vector<Op> update_ops(const Task& task, std::int64_t own, std::int64_t fp8) {
  std::vector<Op> ops;
  if (own == 0) return ops;
  const bool master = task.stack.keeps_master(task.precision);
  const auto add = [&](const std::string& what) {
    ops.push_back(make_op({.op = what,
                           .pass = Pass::optimizer,
                           .shape = {own},
                           .dtype = master ? task.precision : DType::fp32}));
    execute_as(task.stack.kernels, ops.back());
  };
  if (task.stack.clip_gradients) add("square_sum");
  add(std::string(name(task.optimizer)) + (master ? "_master" : ""));
  if (fp8 > 0 && task.stack.cached_fp8_weights) {
    const std::vector<std::int64_t> weights{fp8};
    ops.push_back(make_op({.op = "cast", .shape = weights, .dtype = task.precision}));
  }
  return ops;
}

Duration update_time(std::span<const Op> ops, const CostModel& costs, const DeviceSpec& spec) {
  Duration time{};
  for (const Op& op : ops) time += costs.compute_time(op, spec) + costs.dispatch(spec);
  return time;
}

std::int64_t state_bytes(const Task& task) {
  return 4 * state_tensors(task.optimizer) + (task.stack.keeps_master(task.precision) ? 4 : 0);
}

std::int64_t state_at_work(const Task& task) {
  return 2 * task.stack.bucket.count / task.stack.gradient_bytes;
}

}  // namespace foreplan
