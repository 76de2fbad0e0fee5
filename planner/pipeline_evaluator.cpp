#include "planner/pipeline_evaluator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "planner/pipeline_evaluator_parts.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

void check_counts(const PipelineShape& shape, const PipelineCosts& costs) {
  const auto parts = static_cast<std::size_t>(shape.virtual_stages());
  if (costs.stages.size() != parts) {
    reject(fmt::format("pipeline: expected a cost for each of {} virtual stages, got {}", parts,
                       costs.stages.size()));
  }
  if (!costs.hops.empty() && costs.hops.size() != parts - 1) {
    reject(fmt::format("pipeline: expected a cost for each of {} hops, got {}", parts - 1,
                       costs.hops.size()));
  }
}

void check_costs(const PipelineShape& shape, const PipelineCosts& costs) {
  check_counts(shape, costs);
  // Two of these added still fit.
  static constexpr Duration kMost{std::int64_t{1} << 61};
  const auto check = [](Duration cost) {
    if (cost >= Duration{} && cost <= kMost) return;
    reject(fmt::format("pipeline: expected costs from 0 to {} ps, got {}", kMost.count(),
                       cost.count()));
  };
  for (const auto& [forward, input, weight, tail] : costs.stages) {
    for (const Duration cost : {forward, input, weight, tail}) check(cost);
    if (tail > input + weight) {
      reject(
          fmt::format("pipeline: expected a backward_tail of at most the backward's {} ps, got {}",
                      (input + weight).count(), tail.count()));
    }
  }
  for (const HopCost& way : costs.hops) {
    check(way.forward);
    check(way.backward);
  }
}

/// From virtual stage `at` to the next.
HopCost hop(const PipelineShape& shape, const PipelineCosts& costs, int at) {
  const bool free = costs.hops.empty() || at < 0 || !has_next(shape, at) ||
                    stage_of(shape, at) == stage_of(shape, at + 1);
  return free ? HopCost{} : costs.hops[static_cast<std::size_t>(at)];
}

}  // namespace

PipelineEvaluator::PipelineEvaluator(const PipelineShape& shape) : shape_(shape) {
  check_pipeline(shape);
  if (shape.virtual_stages() > 10'922) {
    reject(fmt::format("pipeline: expected at most 10922 virtual stages, got {}",
                       shape.virtual_stages()));
  }
  Compiler(*this).run();
}

void PipelineEvaluator::set_prices(const PipelineCosts& costs, Scratch& scratch) const {
  using Kind = PipelineAction::Kind;
  check_costs(shape_, costs);
  const int parts = shape_.virtual_stages();
  scratch.prices_.resize(kPricesEach * static_cast<std::size_t>(parts));
  const auto price = [&](Kind kind, int at, bool from_whole = false) -> Scratch::Price& {
    return scratch.prices_[price_index(parts, kind, at, from_whole)];
  };
  for (int at = 0; at < parts; ++at) {
    const auto& [forward, input, weight, tail] = costs.stages[static_cast<std::size_t>(at)];
    const HopCost before = hop(shape_, costs, at - 1), after = hop(shape_, costs, at);
    const Duration next_tail = has_next(shape_, at)
                                   ? costs.stages[static_cast<std::size_t>(at) + 1].backward_tail
                                   : Duration{};
    const Duration sending = before.blocking ? before.backward : Duration{};
    price(Kind::forward, at) = {before.forward, forward,
                                after.blocking ? after.forward : Duration{}};
    for (const bool from_whole : {false, true}) {
      const Duration delay = after.backward - (from_whole ? next_tail : Duration{});
      price(Kind::backward, at, from_whole) = {delay, input + weight,
                                               std::max(sending - tail, Duration{})};
      price(Kind::backward_input, at, from_whole) = {delay, input, sending};
    }
    price(Kind::backward_weight, at) = {{}, weight, {}};
  }
  check_sum(scratch);
}

void PipelineEvaluator::check_sum(const Scratch& scratch) const {
  double total = 0;
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    const auto& [delay, duration, blocked] = scratch.prices_[i];
    total += static_cast<double>(uses_[i]) *
             (std::abs(static_cast<double>(delay.count())) + static_cast<double>(duration.count()) +
              static_cast<double>(blocked.count()));
  }
  if (total >= 0x1p62) reject(fmt::format("pipeline: {:.3g} ps of work are too many", total));
}

void PipelineEvaluator::prepare(const PipelineCosts& costs, Scratch& scratch) const {
  set_prices(costs, scratch);
  if (scratch.finish_.size() < order_.size() + 1) scratch.finish_.resize(order_.size() + 1);
  scratch.finish_[0] = {};
  scratch.free_.assign(static_cast<std::size_t>(shape_.stages), {});
  scratch.walked_ = 0;
}

void PipelineEvaluator::replay(std::size_t begin, std::size_t end, Scratch& scratch) const {
  const Step* const steps = order_.data();
  const Scratch::Price* const prices = scratch.prices_.data();
  Duration* const finish = scratch.finish_.data();
  Duration* const free = scratch.free_.data();
  for (std::size_t i = begin; i < end; ++i) {
    const Step step = steps[i];
    const Scratch::Price& price = prices[step.price];
    const Duration done =
        std::max(free[step.stage], finish[step.input] + price.delay) + price.duration;
    finish[i + 1] = done;
    free[step.stage] = done + price.blocked;
  }
  scratch.walked_ += static_cast<std::int64_t>(end - begin);
}

Duration PipelineEvaluator::last_finish(const Scratch& scratch) const {
  Duration last{};
  for (const std::uint32_t position : last_) last = std::max(last, scratch.finish_[position]);
  return last;
}

Duration PipelineEvaluator::makespan(const PipelineCosts& costs, Scratch& scratch) const {
  prepare(costs, scratch);
  std::size_t at = 0;
  for (const Steady& steady : steady_) {
    replay(at, steady.begin, scratch);
    Skipper(*this, scratch, steady).run();
    at = steady.end();
  }
  replay(at, order_.size(), scratch);
  return last_finish(scratch);
}

Duration PipelineEvaluator::replayed_makespan(const PipelineCosts& costs, Scratch& scratch) const {
  prepare(costs, scratch);
  replay(0, order_.size(), scratch);
  return last_finish(scratch);
}

void PipelineEvaluator::tails(const PipelineCosts& costs, Scratch& scratch, Tails& times) const {
  tails_survive_ ? makespan(costs, scratch) : replayed_makespan(costs, scratch);
  times.last_backward.resize(last_backward_.size());
  for (std::size_t at = 0; at < last_backward_.size(); ++at) {
    const std::uint32_t position = last_backward_[at];
    const Duration finish = scratch.finish_[position];
    times.last_backward[at] = {
        .start = finish - scratch.prices_[order_[position - 1].price].duration, .finish = finish};
  }
  times.stage_finish.resize(last_.size());
  for (std::size_t s = 0; s < last_.size(); ++s) times.stage_finish[s] = scratch.finish_[last_[s]];
}

PipelineTimes PipelineEvaluator::times(const PipelineCosts& costs, Scratch& scratch) const {
  PipelineTimes times{.makespan = makespan(costs, scratch)};
  times.busy.resize(static_cast<std::size_t>(shape_.stages));
  const int parts = shape_.virtual_stages();
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    const int stage = stage_of(shape_, static_cast<int>(i) % parts);
    times.busy[static_cast<std::size_t>(stage)] += uses_[i] * scratch.prices_[i].duration;
  }
  for (const Duration busy : times.busy) times.idle.push_back(times.makespan - busy);
  return times;
}

std::vector<std::vector<ActionTimes>> PipelineEvaluator::timeline(
    const PipelineCosts& costs) const {
  Scratch scratch;
  replayed_makespan(costs, scratch);
  std::vector<std::vector<ActionTimes>> times(static_cast<std::size_t>(shape_.stages));
  // The order keeps each stage's own.
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const Duration finish = scratch.finish_[i + 1];
    times[order_[i].stage].push_back(
        {.start = finish - scratch.prices_[order_[i].price].duration, .finish = finish});
  }
  return times;
}

std::vector<Bytes> PipelineEvaluator::peak_memory(std::span<const ChunkMemory> memory) const {
  const auto parts = static_cast<std::size_t>(shape_.virtual_stages());
  if (memory.size() != parts) {
    reject(fmt::format("pipeline: expected the memory of each of {} virtual stages, got {}", parts,
                       memory.size()));
  }
  for (const ChunkMemory& chunk : memory) {
    if (chunk.for_weight < Bytes{} || chunk.activations < chunk.for_weight) {
      reject(fmt::format("pipeline: expected 0 <= for_weight <= activations, got {} and {} bytes",
                         chunk.for_weight.count, chunk.activations.count));
    }
  }
  std::vector<Bytes> peaks;
  for (int stage = 0; stage < shape_.stages; ++stage) {
    Bytes peak{};
    for (const Holding& holding : holdings_[static_cast<std::size_t>(stage)]) {
      Bytes held{};
      for (int c = 0; c < shape_.chunks; ++c) {
        const int at = virtual_stage(shape_.schedule, shape_.stages, shape_.chunks, stage, c);
        const ChunkMemory& chunk = memory[static_cast<std::size_t>(at)];
        held += chunk.activations * holding[static_cast<std::size_t>(c)] +
                chunk.for_weight * holding[static_cast<std::size_t>(shape_.chunks + c)];
      }
      peak = std::max(peak, held);
    }
    peaks.push_back(peak);
  }
  return peaks;
}

}  // namespace foreplan
