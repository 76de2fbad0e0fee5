#include "planner/branch_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "planner/optimizer_update.hpp"
#include "planner/plain_step.hpp"
#include "planner/rank_unit.hpp"
#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

Strategy checked(const Task& task, Strategy strategy) {
  check_step(task, strategy);
  Strategy unsharded = strategy;
  if (strategy.zero == 1) unsharded.zero = 0;
  const bool plain = only_replicates(unsharded) && strategy.split_from == 0 &&
                     strategy.replication == Replication::ddp;
  if (!plain) reject("strategy: bp goes with dp, micro_batch and zero=1 alone");
  if (!task.model.flat()) {
    reject(fmt::format("strategy: bp={}: {} is made of blocks, a chain without branches",
                       strategy.bp, task.model.name()));
  }
  require_alike(task, strategy.devices(), "bp > 1");
  strategy.micro_batch = split_batch(strategy, task.global_batch).micro_batch;
  return strategy;
}

std::vector<Stretch> checked_stretches(const Task& task, int bp) {
  std::vector<Stretch> found = stretches(task.model);
  const int most = most_branches(found);
  if (bp > most) {
    reject(fmt::format("strategy: bp={}: of {} no more than {} can be at work at once", bp,
                       task.model.name(),
                       most == 1 ? "one layer" : fmt::format("{} layers", most)));
  }
  return found;
}

}  // namespace

StretchCost stretch_cost(const Stretch& stretch, const std::vector<UnitCost>& costs) {
  StretchCost found;
  for (std::int32_t i = stretch.first; i < stretch.first + stretch.size(); ++i) {
    const UnitCost& cost = costs[static_cast<std::size_t>(i)];
    found.forward.push_back(cost.whole_forward());
    found.backward.push_back(cost.whole_backward_input() + cost.backward_weight);
    found.copy.emplace_back();
  }
  return found;
}

BranchStep::BranchStep(const Task& task, const Strategy& strategy)
    : task_(folded_task(task)),
      strategy_(checked(task, strategy)),
      batch_(split_batch(strategy_, task.global_batch)),
      // Branch ranks lie beside each other, as tensor ranks do.
      groups_(task.cluster, {.dp = strategy_.dp, .tp = strategy_.bp}, task.collectives,
              &task.costs),
      chain_(unit_chain(task.model)),
      stretches_(checked_stretches(task, strategy_.bp)) {
  lower();
  course_ = course_of(on_one_device());
  if (strategy_.bp == 1) return;
  Course placed = course_of(this->placed());
  proven_ = std::all_of(placed.ways.begin(), placed.ways.end(),
                        [](const Way& way) { return way.placed.proven; });
  const auto rank = [](const Course& c) { return std::pair(!c.feasible, c.step); };
  if (rank(placed) < rank(course_)) course_ = std::move(placed);
}

void BranchStep::lower() {
  const UnitSetting setting = unit_setting(task_, strategy_);
  for (std::size_t i = 0; i < task_.model.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const bool loss = i + 1 == task_.model.size();
    const UnitClass unit{.range = {id, id}, .role = loss ? BlockRole::head : BlockRole::layer};
    works_.push_back(rank_unit(task_, unit, setting, groups_));
    costs_.push_back(
        price(works_.back(), {.costs = task_.costs,
                              .spec = task_.cluster.device(DeviceId{0}),
                              .stack = task_.stack,
                              .measured = measured_unit(task_, unit.range, 1, setting.samples)}));
  }
  for (std::size_t s = 0; s < stretches_.size(); ++s) {
    StretchCost& cost = stretch_costs_.emplace_back(stretch_cost(stretches_[s], costs_));
    if (stretches_[s].width == 1) continue;  // nothing of it is ever copied
    for (std::int32_t i = 0; i < stretches_[s].size(); ++i) {
      cost.copy[static_cast<std::size_t>(i)] = copy_time(bytes_of(s, i));
    }
    cost.enters = copy_time(bytes_of(s, -1));
  }
}

/// Whether no replica lies across two nodes.
bool BranchStep::inside_nodes() const {
  if (task_.cluster.node_groups().empty()) return false;
  const int bp = strategy_.bp, node = node_facts(task_.cluster, strategy_.devices()).devices;
  for (int first = 0; first < strategy_.devices(); first += bp) {
    if (first / node != (first + bp - 1) / node) return false;
  }
  return true;
}

/// A message from one device of a replica to another, if need be between nodes.
Duration BranchStep::copy_time(Bytes bytes) const {
  if (strategy_.bp == 1) return {};
  const GroupPlacement& group = groups_.of(Axis::tensor);
  if (inside_nodes() || group.grid.nodes == 1) return point_to_point_time(bytes, group.intra);
  Hop hop = group.inter;
  hop.bandwidth =
      std::min(hop.bandwidth, Bandwidth{across_bandwidth(group, group.grid.ranks_per_node)});
  return point_to_point_time(bytes, hop);
}

/// Of the output of a layer of the stretch; -1: of what enters.
Bytes BranchStep::bytes_of(std::size_t stretch, std::int32_t tensor) const {
  const std::int32_t layer = stretches_[stretch].first + tensor;
  return layer < 0 ? Bytes{} : works_[static_cast<std::size_t>(layer)].leaving;
}

BranchStep::Way BranchStep::way_of(std::size_t stretch, PlacedStretch placed) const {
  BranchSchedule schedule(stretches_[stretch], stretch_costs_[stretch], strategy_.bp);
  Way way{.placed = std::move(placed), .without_copies = {}, .forward = {}, .backward = {}};
  way.without_copies = schedule.time_without_copies(way.placed.placement);
  way.forward = schedule.forward(way.placed.placement);
  way.backward = schedule.backward(way.placed.placement);
  return way;
}

std::vector<BranchStep::Way> BranchStep::on_one_device() const {
  std::vector<Way> ways;
  for (std::size_t s = 0; s < stretches_.size(); ++s) {
    ways.push_back(way_of(s, place_stretch(stretches_[s], stretch_costs_[s], 1)));
  }
  return ways;
}

std::vector<BranchStep::Way> BranchStep::placed() const {
  std::vector<Way> ways;
  for (std::size_t s = 0; s < stretches_.size(); ++s) {
    // Most networks repeat themselves.
    const auto alike = [&](std::size_t other) {
      return stretches_[other].inputs == stretches_[s].inputs &&
             stretch_costs_[other] == stretch_costs_[s];
    };
    std::size_t known = 0;
    while (known < s && !alike(known)) ++known;
    const int devices = std::min(strategy_.bp, stretches_[s].width);
    ways.push_back(known < s ? ways[known]
                             : way_of(s, place_stretch(stretches_[s], stretch_costs_[s], devices)));
  }
  return ways;
}

BranchStep::Course BranchStep::course_of(std::vector<Way> ways) const {
  Course course{.ways = std::move(ways)};
  for (const Way& way : course.ways) {
    course.once += way.forward.finish + way.backward.finish;
    course.without_copies += way.without_copies;
  }
  const Bytes room = task_.cluster.device(DeviceId{0}).memory;
  for (std::int32_t d = 0; d < strategy_.bp; ++d) {
    course.ends.push_back(end_of(course, d));
    course.memory.push_back(memory_of(course, d));
    course.feasible &= course.memory.back().peak + task_.stack.context_bytes <= room;
  }
  wait_for_norm(course);
  for (const DeviceEnd& end : course.ends) {
    const Duration updated = end.ready + end.update + end.gather;
    course.step = std::max(course.step, updated + task_.stack.host_step);
  }
  return course;
}

/// The last backward of a device as it comes to its layers, waits counted with what they end in.
BranchStep::DeviceEnd BranchStep::end_of(const Course& course, std::int32_t device) const {
  LastBackward last;
  std::vector<const UnitWork*> units;
  StageState state;
  Duration begin = batch_.micro_batches * course.once;
  for (const Way& way : course.ways) begin -= way.backward.finish;
  for (std::size_t s = course.ways.size(); s-- > 0;) {
    const StretchWay& back = course.ways[s].backward;
    for (const BranchEvent& event : back.events) {
      if (event.kind != BranchEvent::Kind::compute || event.from != device) continue;
      units.push_back(&works_[static_cast<std::size_t>(stretches_[s].first + event.layer)]);
      state.dense += units.back()->dense_parameters;
      state.expert += units.back()->expert_parameters;
      state.fp8 += units.back()->fp8_parameters;
      if (last.times.empty()) last.start = last.finish = begin + event.start;
      last.times.push_back(begin + event.finish - last.finish);
      last.finish = begin + event.finish;
    }
    begin += back.finish;
  }
  const std::vector<BucketSend> buckets = plan_buckets(units, strategy_, groups_, task_.stack);
  last.buckets = &buckets;
  const DeviceSpec& spec = task_.cluster.device(DeviceId{0});
  const AggregatedGradients done =
      gradients_done({last}, task_.stack.overlap_gradients, task_.costs.overlap(spec));
  const std::int64_t own = own_parameters(state, strategy_, groups_);
  return {.finish = last.finish,
          .ready = std::max(done.finish, done.ready),
          .update = update_time(update_ops(task_, own, state.fp8), task_.costs, spec),
          .gather = gather_updated(state, strategy_, groups_, task_.stack,
                                   task_.stack.stored(task_.precision)),
          .state = state};
}

/// A word from every device of a replica that has layers to the first and back.
void BranchStep::wait_for_norm(Course& course) const {
  const bool several = std::any_of(course.ways.begin(), course.ways.end(), [](const Way& way) {
    const BranchPlacement& placement = way.placed.placement;
    return std::any_of(placement.begin(), placement.end(), [](auto device) { return device > 0; });
  });
  if (!task_.stack.clip_gradients || !several) return;
  Duration all{};
  for (const DeviceEnd& end : course.ends) all = std::max(all, end.ready);
  for (DeviceEnd& end : course.ends) end.ready = all + 2 * copy_time(Bytes{4});
}

/// The most that arrives in a stretch, forward or backward: it is all there at once at most.
Bytes BranchStep::arriving(const Course& course, std::int32_t device) const {
  Bytes most;
  for (std::size_t s = 0; s < course.ways.size(); ++s) {
    for (const StretchWay* way : {&course.ways[s].forward, &course.ways[s].backward}) {
      Bytes sum;
      for (const BranchEvent& event : way->events) {
        const bool arrives = event.kind == BranchEvent::Kind::copy && event.to == device;
        if (arrives) sum += bytes_of(s, event.layer);
      }
      most = std::max(most, sum);
    }
  }
  return most;
}

StageMemory BranchStep::memory_of(const Course& course, std::int32_t device) const {
  std::vector<UnitPiece> pieces;
  Bytes activations;
  for (std::size_t s = 0; s < course.ways.size(); ++s) {
    const BranchPlacement& placement = course.ways[s].placed.placement;
    for (std::size_t i = 0; i < placement.size(); ++i) {
      if (placement[i] != device) continue;
      pieces.push_back({static_cast<std::size_t>(stretches_[s].first) + i, 1, Recompute::none});
      activations += works_[pieces.back().unit_class].saved;
    }
  }
  StageMemory memory = stage_memory({.task = task_,
                                     .zero = strategy_.zero,
                                     .groups = groups_,
                                     .chain = chain_,
                                     .works = works_,
                                     .chunks = {&pieces, 1},
                                     .state = course.ends[static_cast<std::size_t>(device)].state,
                                     .activations = activations});
  const Bytes copies = arriving(course, device);
  memory.buffers += copies;
  memory.peak += copies;
  return memory;
}

Estimate BranchStep::estimate() const {
  const Course& course = course_;
  Estimate result;
  result.strategy = strategy_;
  result.feasible = course.feasible;
  result.step_time = course.step;
  const Duration pipeline = batch_.micro_batches * course.once;
  DeviceTime sum;
  for (const UnitCost& cost : costs_) {
    sum.compute += batch_.micro_batches *
                   (cost.whole_forward() + cost.whole_backward_input() + cost.backward_weight);
  }
  for (const DeviceEnd& end : course.ends) {
    sum.exposed_communication += std::max(Duration{}, end.ready - pipeline) + end.gather;
    sum.optimizer += end.update;
  }
  DeviceTime& mean = result.breakdown;
  mean.compute = sum.compute / strategy_.bp;
  mean.optimizer = sum.optimizer / strategy_.bp;
  // Of a device that waits for copies, and anyhow for others, no more than it waits.
  mean.exposed_communication =
      std::min(result.step_time - mean.compute - mean.optimizer,
               sum.exposed_communication / strategy_.bp +
                   batch_.micro_batches * (course.once - course.without_copies));
  mean.idle = result.step_time - mean.compute - mean.exposed_communication - mean.optimizer;
  for (const Way& way : course.ways) {
    result.tasks += std::ssize(way.forward.events) + std::ssize(way.backward.events);
  }
  result.tasks = batch_.micro_batches * result.tasks + 4 * strategy_.bp;
  result.stages.push_back(*std::max_element(
      course.memory.begin(), course.memory.end(),
      [](const StageMemory& a, const StageMemory& b) { return a.peak < b.peak; }));
  result.peak_memory = result.stages.front().peak;
  fill_plain_rates(task_, result);
  return result;
}

std::vector<std::int32_t> BranchStep::placement() const {
  std::vector<std::int32_t> devices;
  for (const Way& way : course_.ways) {
    const BranchPlacement& placement = way.placed.placement;
    devices.insert(devices.end(), placement.begin(), placement.end());
  }
  return devices;
}

}  // namespace foreplan
