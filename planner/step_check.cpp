#include "planner/step_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "planner/replicas.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

void check_sizes(const Task& task, const Strategy& strategy) {
  const Strategy& s = strategy;
  const std::array<std::pair<const char*, int>, 7> sizes{{{"dp", s.dp},
                                                          {"tp", s.tp},
                                                          {"pp", s.pp},
                                                          {"vpp", s.vpp},
                                                          {"cp", s.cp},
                                                          {"ep", s.ep},
                                                          {"bp", s.bp}}};
  for (const auto& [key, size] : sizes) {
    if (size < 1) reject(fmt::format("strategy: {}: expected >= 1, got {}", key, size));
  }
  check(s.order);
  // A double: the product may need more than 64 bits.
  const double needed = static_cast<double>(s.dp) * s.tp * s.pp * s.cp * s.bp;
  if (needed > task.cluster.devices()) {
    reject(fmt::format("strategy: {} needs {:.0f} devices, the cluster has {}", format(strategy),
                       needed, task.cluster.devices()));
  }
}

bool has(const OpGraph& model, LayerKind kind) {
  return std::any_of(model.layers().begin(), model.layers().end(),
                     [&](const Layer& layer) { return layer.kind == kind; });
}

/// What asks for something that the strategy or the network does not have.
void check_purpose(const OpGraph& model, const Strategy& strategy) {
  if (strategy.zero < 0 || strategy.zero > 3) {
    reject(fmt::format("strategy: zero: expected 0 to 3, got {}", strategy.zero));
  }
  if (strategy.recompute_layers && strategy.recompute != Recompute::full) {
    reject("strategy: recompute_layers needs recompute=full");
  }
  if (strategy.sp && strategy.tp == 1) reject("strategy: sp=1 needs tp > 1");
  if (strategy.vpp > 1 && strategy.pp == 1) {
    reject(fmt::format("strategy: vpp={} needs pp > 1", strategy.vpp));
  }
  if (strategy.schedule != Schedule::one_f_one_b && strategy.pp == 1) {
    reject(fmt::format("strategy: schedule={} needs pp > 1", name(strategy.schedule)));
  }
  if (strategy.ep > 1 && !has(model, LayerKind::expert_linear)) {
    reject(fmt::format("strategy: ep={}: {} has no experts", strategy.ep, model.name()));
  }
  if (strategy.deals_whole_experts() && strategy.tp > 1 && !strategy.sp) {
    reject(fmt::format(
        "strategy: ep={} does not divide cp dp, so that experts are not cut by tp={}: that "
        "needs sp=1, or its ranks would repeat each other's rows",
        strategy.ep, strategy.tp));
  }
  const bool attention = has(model, LayerKind::attention);
  if (strategy.cp > 1 && !attention) {
    reject(fmt::format("strategy: cp={} shares attention, but {} has none", strategy.cp,
                       model.name()));
  }
  if (strategy.recompute == Recompute::selective && !attention) {
    reject(fmt::format("strategy: recompute=selective repeats attention, but {} has none",
                       model.name()));
  }
}

void check_offload(const Task& task, const Strategy& strategy) {
  if (strategy.offload == Offload::none) return;
  const std::vector<DeviceSpec>& specs = task.cluster.specs();
  const bool any = std::all_of(specs.begin(), specs.end(), [](const DeviceSpec& device) {
    return device.host_bandwidth.bytes_per_s > 0;
  });
  if (any) return;
  for (int d = 0; d < strategy.devices(); ++d) {
    const DeviceSpec& device = task.cluster.device(DeviceId{d});
    if (device.host_bandwidth.bytes_per_s > 0) continue;
    reject(fmt::format("strategy: offload={}: device '{}' does not tell its bandwidth to the host",
                       name(strategy.offload), device.name));
  }
}

void check_lengths(const Task& task) {
  const Positions& rows = task.model.input_positions();
  const auto check = [&](std::int64_t used, std::int64_t length) {
    if (used > 0 && length < 1) {
      reject(fmt::format("sequence: {} reads tokens, expected >= 1, got {}", task.model.name(),
                         length));
    }
  };
  check(rows.source, task.lengths.source);
  check(rows.target, task.lengths.target);
}

void check_stack(const Stack& stack) {
  if (stack.first_bucket < Bytes{1} || stack.bucket < Bytes{1} || stack.gradient_bytes < 1) {
    reject(fmt::format(
        "stack: {}: expected buckets and gradients of at least a byte, got {}, {} "
        "and {} bytes",
        stack.name, stack.first_bucket.count, stack.bucket.count, stack.gradient_bytes));
  }
}

}  // namespace

void check_slow(const Task& task) {
  for (const auto& [device, factor] : task.slow) {
    const auto number = static_cast<std::int32_t>(device);
    if (number < 0 || number >= task.cluster.devices()) {
      reject(fmt::format("slow: expected a device from 0 to {}, got {}", task.cluster.devices() - 1,
                         number));
    }
    if (!std::isfinite(factor) || factor <= 0) {
      reject(fmt::format("slow: device {}: expected a factor > 0, got {}", number, factor));
    }
  }
}

bool only_replicates(const Strategy& strategy) {
  return strategy == Strategy{.dp = strategy.dp,
                              .bp = strategy.bp,
                              .micro_batch = strategy.micro_batch,
                              .replication = strategy.replication,
                              .split_from = strategy.split_from};
}

void require_alike(const Task& task, int devices, std::string_view what) {
  if (are_alike(task, devices)) return;
  reject(fmt::format("strategy: {} is forecast for devices that are all alike", what));
}

void check_step(const Task& task, const Strategy& strategy) {
  check_sizes(task, strategy);
  check_purpose(task.model, strategy);
  check_offload(task, strategy);
  check_lengths(task);
  check_slow(task);
  check_stack(task.stack);
}

}  // namespace foreplan
