// Exact evaluations of a pipeline a second: walked through action by action, and with what repeats
// skipped. Stages are uneven (a first with an embedding, a last with a head) and hops take time.

#include <benchmark/benchmark.h>

#include "planner/pipeline_evaluator.hpp"

namespace foreplan {
namespace {

PipelineShape shape(const benchmark::State& state) {
  const auto schedule = static_cast<Schedule>(state.range(0));
  const bool two = schedule == Schedule::zb_v || schedule == Schedule::dualpipe;
  const int v = schedule == Schedule::interleaved ? 3 : two ? 2 : 1;
  return {schedule, 8, v, static_cast<int>(state.range(1))};
}

/// [ps] About a GPT-3 layer or three on an A100, no two stages alike.
PipelineCosts costs(const PipelineShape& shape) {
  PipelineCosts costs;
  const int parts = shape.virtual_stages();
  for (int at = 0; at < parts; ++at) {
    const std::int64_t extra = (at == 0 ? 300'000'000 : 0) + (at + 1 == parts ? 900'000'000 : 0);
    costs.stages.push_back({Duration{9'000'000'000 + extra + 1'000'003 * (at * 7 % 5)},
                            Duration{9'500'000'000 + extra + 1'000'033 * (at * 3 % 7)},
                            Duration{8'700'000'000 + extra}});
    if (at > 0) costs.hops.push_back({Duration{120'000'000}, Duration{130'000'000}});
  }
  return costs;
}

void compile(benchmark::State& state) {
  const PipelineShape drawn = shape(state);
  std::int64_t actions = 0;
  for (auto _ : state) actions += PipelineEvaluator(drawn).actions();
  state.SetItemsProcessed(actions);
  state.SetLabel(std::string(name(drawn.schedule)));
}

/// Items are actions of the pipeline, each walked through.
void replay(benchmark::State& state) {
  const PipelineEvaluator evaluator(shape(state));
  const PipelineCosts prices = costs(evaluator.shape());
  PipelineEvaluator::Scratch scratch;
  for (auto _ : state) benchmark::DoNotOptimize(evaluator.replayed_makespan(prices, scratch));
  state.SetItemsProcessed(state.iterations() * evaluator.actions());
  state.SetLabel(std::string(name(evaluator.shape().schedule)));
}

/// Items are evaluations.
void evaluate(benchmark::State& state) {
  const PipelineEvaluator evaluator(shape(state));
  const PipelineCosts prices = costs(evaluator.shape());
  PipelineEvaluator::Scratch scratch;
  for (auto _ : state) benchmark::DoNotOptimize(evaluator.makespan(prices, scratch));
  state.SetItemsProcessed(state.iterations());
  state.counters["actions"] = static_cast<double>(evaluator.actions());
  state.counters["walked"] = static_cast<double>(scratch.walked());
  state.SetLabel(std::string(name(evaluator.shape().schedule)));
}

void every_schedule(benchmark::internal::Benchmark* bench) {
  for (const Schedule schedule : kSchedules) {
    for (const int m : {96, 1024}) bench->Args({static_cast<int>(schedule), m});
  }
  bench->ArgNames({"schedule", "m"})->Unit(benchmark::kMicrosecond);
}
BENCHMARK(compile)->Apply(every_schedule);
BENCHMARK(replay)->Apply(every_schedule);
BENCHMARK(evaluate)->Apply(every_schedule);

}  // namespace
}  // namespace foreplan
