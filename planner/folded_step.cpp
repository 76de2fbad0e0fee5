#include "planner/folded_step.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Fills in what follows from the rest, and refuses what cannot be split.
Strategy completed(const Task& task, Strategy strategy, const UnitChain& chain) {
  check_step(task, strategy);
  if (strategy.replication != Replication::ddp) {
    reject(fmt::format("strategy: replication={} is not folded", name(strategy.replication)));
  }
  if (strategy.bp != 1) reject(fmt::format("strategy: bp={} is not folded", strategy.bp));
  if (strategy.split_from != 0) {
    reject(fmt::format("strategy: split_from={} is not folded", strategy.split_from));
  }
  const BatchSplit batch = split_batch(strategy, task.global_batch);
  strategy.micro_batch = batch.micro_batch;
  const PipelineShape shape = pipeline_shape(strategy, static_cast<int>(batch.micro_batches));
  const int parts = shape.schedule == Schedule::dualpipe ? strategy.pp : shape.virtual_stages();
  const bool by_stage = strategy.layers.size() == static_cast<std::size_t>(strategy.pp);
  if (strategy.layers.empty()) {
    strategy.layers = task.stack.weighed_stages ? weighed_layers(task.model, chain, parts)
                                                : even_layers(chain, parts);
  } else if (by_stage && parts != strategy.pp) {
    reject(fmt::format("strategy: layers: expected {} virtual stages, got {}", parts,
                       strategy.layers.size()));
  } else if (strategy.layers.size() != static_cast<std::size_t>(parts)) {
    reject(fmt::format("strategy: layers tells {} stages, expected {}", strategy.layers.size(),
                       parts));
  }
  return strategy;
}

template <typename T, typename Make>
std::shared_ptr<const T> shared_or(const std::shared_ptr<const T>& shared, const Make& make) {
  return shared ? shared : std::make_shared<const T>(make());
}

}  // namespace

Task folded_task(Task task) {
  if (task.cluster.device(DeviceId{0}).concurrent_streams) return task;
  task.stack.overlap_gradients = task.stack.overlap_parameters = false;
  task.stack.overlap_tensor = task.stack.prefetch_parameters = false;
  return task;
}

Flops flops_of_sample(const Task& task) {
  return matrix_flops(task.model, {.samples = 1, .lengths = task.lengths});
}

PipelineShape folded_shape(const Task& task, const Strategy& strategy) {
  const BatchSplit batch = split_batch(strategy, task.global_batch);
  return pipeline_shape(strategy, static_cast<int>(batch.micro_batches));
}

FoldedStep::FoldedStep(const Task& task, const Strategy& strategy, const SharedParts& shared)
    : task_(folded_task(task)),
      shared_chain_(shared_or(shared.chain, [&] { return unit_chain(task.model); })),
      chain_(*shared_chain_),
      strategy_(completed(task, strategy, chain_)),
      batch_(split_batch(strategy_, task.global_batch)),
      shape_(folded_shape(task, strategy_)),
      pipeline_(shared_or(shared.pipeline, [&] { return PipelineEvaluator(shape_); })),
      evaluator_(*pipeline_),
      groups_(task.cluster, strategy_, task.collectives, &task.costs),
      units_(shared_or(shared.units, [&] { return UnitTable(task_, chain_, strategy_, groups_); })),
      works_(units_->works()),
      replicas_(distinct_replicas(task_, strategy_)),
      sample_flops_(shared.sample_flops ? *shared.sample_flops : flops_of_sample(task)) {
  lay_out_stages();
  count_state();
  plan_exchanges();
  plan_ends();
  plan_memory();
  count_flops();
}

std::vector<FoldedStep::Piece> FoldedStep::pieces_of(const std::vector<UnitRun>& runs) const {
  std::vector<Piece> pieces;
  const auto add = [&](std::size_t unit_class, std::int32_t count, Recompute recompute) {
    if (count > 0) pieces.push_back({unit_class, count, recompute});
  };
  std::int32_t recomputed = strategy_.recompute_layers.value_or(chain_.layers);
  for (const UnitRun& run : runs) {
    const auto unit_class = static_cast<std::size_t>(run.unit_class);
    const bool layer = chain_.classes[unit_class].role == BlockRole::layer;
    const std::int32_t again = layer ? std::min(run.count, recomputed) : 0;
    recomputed -= again;
    add(unit_class, again, strategy_.recompute);
    add(unit_class, run.count - again, Recompute::none);
  }
  return pieces;
}

void FoldedStep::lay_out_stages() {
  const StageLayout layout = lay_out(chain_, strategy_.layers);
  stages_.reserve(static_cast<std::size_t>(shape_.virtual_stages()));
  for (const auto& runs : layout) stages_.push_back(pieces_of(runs));
  // DualPipe: the second chain has the layers of the first.
  for (std::size_t j = layout.size(); j < static_cast<std::size_t>(shape_.virtual_stages()); ++j) {
    stages_.push_back(stages_[j - layout.size()]);
  }
  by_stage_.resize(static_cast<std::size_t>(shape_.stages));
  for (std::size_t j = 0; j < stages_.size(); ++j) {
    by_stage_[static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)))].push_back(
        stages_[j]);
  }
}

void FoldedStep::count_state() {
  states_.resize(static_cast<std::size_t>(shape_.stages));
  const bool elsewhere = shape_.stages > 1;
  for (std::size_t j = 0; j < stages_.size(); ++j) {
    StageState& state = states_[static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)))];
    for (const Piece& piece : stages_[j]) {
      const UnitWork& work = works_[piece.unit_class];
      state.dense += piece.count * (work.dense_parameters + (elsewhere ? work.tied_parameters : 0));
      state.expert += piece.count * work.expert_parameters;
      state.fp8 += piece.count * work.fp8_parameters;
      if (elsewhere) tied_ += piece.count * work.tied_parameters;
    }
  }
}

const DeviceSpec& FoldedStep::spec(const DeviceKind& kind) const {
  return task_.cluster.specs()[static_cast<std::size_t>(kind.spec)];
}

}  // namespace foreplan
