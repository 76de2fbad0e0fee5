#include "planner/family.hpp"

#include <algorithm>

#include "planner/branches.hpp"
#include "planner/divisors.hpp"
#include "planner/replicas.hpp"
#include "planner/stage_layout.hpp"

namespace foreplan {
namespace {

Layouts none_of(Obstacle obstacle) { return {.strategies = {}, .obstacle = obstacle}; }
Layouts one_of(const Strategy& strategy) { return {.strategies = {strategy}}; }

Layouts replicas(const Task& task, const Strategy& strategy) {
  if (task.global_batch % strategy.dp != 0) return none_of(Obstacle::batch);
  return one_of(strategy);
}

Layouts scattered(const Task& task, int devices) {
  if (devices == 1) return one_of({});  // which runs the network as it is
  if (!are_alike(task, devices)) return none_of(Obstacle::mixed_devices);
  return replicas(task, {.dp = devices, .replication = Replication::dataparallel});
}

Layouts by_layers(const Task& task, int devices) {
  if (!task.model.flat()) return none_of(Obstacle::blocks);
  if (devices == 1) return one_of({});
  if (!are_alike(task, devices)) return none_of(Obstacle::mixed_devices);
  return replicas(task, {.dp = devices});
}

Layouts branches(const Task& task, int devices) {
  const int most = most_branches(stretches(task.model));
  if (most == 1) return none_of(Obstacle::branches);
  if (devices == 1) return one_of({});
  if (!are_alike(task, devices)) return none_of(Obstacle::mixed_devices);
  Layouts found;
  for (const std::int64_t divisor : divisors(devices, devices)) {
    const int bp = static_cast<int>(divisor), dp = devices / bp;
    if (bp == 1 || bp > most || task.global_batch % dp != 0) continue;
    found.strategies.push_back({.dp = dp, .bp = bp});
    if (dp > 1) found.strategies.push_back({.dp = dp, .bp = bp, .zero = 1});
  }
  // So many devices no bp divides, or what is left for dp does not divide the batch.
  if (found.strategies.empty()) found.obstacle = Obstacle::batch;
  return found;
}

bool has_sequences(const OpGraph& model) {
  const Positions& rows = model.input_positions();
  return rows.source + rows.target > 0;
}

bool has_layer(const OpGraph& model, LayerKind kind) {
  return std::any_of(model.layers().begin(), model.layers().end(),
                     [&](const Layer& layer) { return layer.kind == kind; });
}

Layouts tensor(const Task& task, int devices) {
  Layouts found = one_of({.tp = devices});
  if (devices > 1 && has_sequences(task.model)) {
    found.strategies.push_back({.tp = devices, .sp = true});
  }
  return found;
}

Layouts context(const Task& task, int devices) {
  if (!has_layer(task.model, LayerKind::attention)) return none_of(Obstacle::sequence);
  return one_of({.cp = devices});
}

Layouts expert(const Task& task, int devices) {
  if (!has_layer(task.model, LayerKind::expert_linear)) return none_of(Obstacle::experts);
  if (devices == 1) return one_of({});
  if (task.global_batch % devices != 0) return none_of(Obstacle::batch);
  Layouts found;
  for (const std::int64_t ep : divisors(devices, devices)) {
    if (ep > 1) found.strategies.push_back({.dp = devices, .ep = static_cast<int>(ep)});
  }
  return found;
}

/// Numbers of chunks a stage, at least two.
std::vector<int> chunk_counts(int layers, int stages) {
  std::vector<int> even, few;
  for (int chunks = 2; chunks * stages <= layers; ++chunks) {
    const int parts = chunks * stages;
    if (layers % parts == 0 || (layers + 2) % parts == 0) even.push_back(chunks);
    if (chunks <= 4) few.push_back(chunks);
  }
  return even.empty() ? few : even;
}

/// Adds a pipeline of this schedule, with each of its numbers of chunks.
void add_pipelines(Strategy strategy, Schedule schedule, int layers, Layouts& found) {
  if (strategy.pp == 1) {
    found.strategies.push_back(strategy);
    return;
  }
  strategy.schedule = schedule;
  if (schedule == Schedule::interleaved) {
    // Written as 1F1B of several chunks, as it is usually told.
    strategy.schedule = Schedule::one_f_one_b;
    for (const int chunks : chunk_counts(layers, strategy.pp)) {
      strategy.vpp = chunks;
      found.strategies.push_back(strategy);
    }
    return;
  }
  const int parts = schedule == Schedule::zb_v ? 2 * strategy.pp : strategy.pp;
  if (parts <= layers) found.strategies.push_back(strategy);
}

Layouts pipelines(const Task& task, int devices, std::initializer_list<Schedule> schedules) {
  const int layers = unit_chain(task.model).layers;
  Layouts found;
  for (const Schedule schedule : schedules) {
    add_pipelines({.pp = devices}, schedule, layers, found);
    if (devices == 1) break;
  }
  if (found.strategies.empty()) found.obstacle = Obstacle::layers;
  return found;
}

}  // namespace

std::string_view name(Family family) {
  switch (family) {
    case Family::ddp:
      return "ddp";
    case Family::dataparallel:
      return "dataparallel";
    case Family::micro_batches:
      return "micro-batches";
    case Family::zero_1:
      return "zero-1";
    case Family::zero_2:
      return "zero-2";
    case Family::zero_3:
      return "zero-3";
    case Family::tensor:
      return "tensor";
    case Family::layer_split:
      return "layer-split";
    case Family::branches:
      return "branches";
    case Family::context:
      return "context";
    case Family::expert:
      return "expert";
    case Family::gpipe:
      return "gpipe";
    case Family::one_f_one_b:
      return "1f1b";
    case Family::interleaved:
      return "interleaved";
    case Family::zero_bubble:
      return "zero-bubble";
    case Family::hybrid:
      return "hybrid";
  }
  return "?";
}

std::string_view name(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::none:
      return "none";
    case Obstacle::memory:
      return "memory";
    case Obstacle::batch:
      return "batch";
    case Obstacle::micro_batches:
      return "micro-batches";
    case Obstacle::layers:
      return "layers";
    case Obstacle::cuts:
      return "cuts";
    case Obstacle::width:
      return "width";
    case Obstacle::sequence:
      return "sequence";
    case Obstacle::blocks:
      return "blocks";
    case Obstacle::branches:
      return "branches";
    case Obstacle::experts:
      return "experts";
    case Obstacle::mixed_devices:
      return "mixed devices";
    case Obstacle::precision:
      return "precision";
    case Obstacle::other:
      return "refused";
  }
  return "?";
}

Layouts layouts(const Task& task, Family family, int devices) {
  switch (family) {
    case Family::ddp:
    case Family::micro_batches:
      return replicas(task, {.dp = devices});
    case Family::dataparallel:
      return scattered(task, devices);
    case Family::zero_1:
      return replicas(task, {.dp = devices, .zero = 1});
    case Family::zero_2:
      return replicas(task, {.dp = devices, .zero = 2});
    case Family::zero_3:
      return replicas(task, {.dp = devices, .zero = 3});
    case Family::tensor:
      return tensor(task, devices);
    case Family::layer_split:
      return by_layers(task, devices);
    case Family::branches:
      return branches(task, devices);
    case Family::context:
      return context(task, devices);
    case Family::expert:
      return expert(task, devices);
    case Family::gpipe:
      return pipelines(task, devices, {Schedule::gpipe});
    case Family::one_f_one_b:
      return pipelines(task, devices, {Schedule::one_f_one_b});
    case Family::interleaved:
      return pipelines(task, devices, {Schedule::interleaved});
    case Family::zero_bubble:
      return pipelines(task, devices, {Schedule::zb_h1, Schedule::zb_h2, Schedule::zb_v});
    case Family::hybrid:
      return {};
  }
  return {};
}

std::vector<std::int64_t> micro_batches_of(Family family, std::int64_t share) {
  if (family == Family::ddp || family == Family::dataparallel) return {share};
  std::vector<std::int64_t> sizes = micro_batch_sizes(share);
  if (family == Family::micro_batches) sizes.pop_back();
  return sizes;
}

Obstacle usual_obstacle(const Task& task, Family family, int devices) {
  for (int i = 0; i < devices; ++i) {
    const auto& peaks = task.cluster.device(DeviceId{i}).peak;
    if (peaks.find(task.products.value_or(task.precision)) == peaks.end())
      return Obstacle::precision;
  }
  switch (family) {
    case Family::micro_batches:
      return Obstacle::micro_batches;
    case Family::tensor:
    case Family::layer_split:
      return Obstacle::width;
    case Family::context:
      return Obstacle::sequence;
    case Family::expert:
      return Obstacle::experts;
    case Family::interleaved:
      return task.global_batch % devices == 0 ? Obstacle::cuts : Obstacle::micro_batches;
    case Family::gpipe:
    case Family::one_f_one_b:
    case Family::zero_bubble:
      return Obstacle::cuts;
    default:
      return Obstacle::other;
  }
}

}  // namespace foreplan
