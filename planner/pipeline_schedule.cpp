#include "planner/pipeline_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "planner/pipeline_schedule_orders.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// There and back: two chunks a stage, the second on the way back.
bool is_v_shaped(Schedule schedule) {
  return schedule == Schedule::zb_v || schedule == Schedule::dualpipe;
}

void check_chunks(Schedule schedule, int chunks) {
  const auto expect = [&](bool fits, std::string_view expected) {
    if (fits) return;
    reject(fmt::format("pipeline: {} has {} a stage, got {}", name(schedule), expected, chunks));
  };
  if (schedule == Schedule::interleaved) {
    expect(chunks >= 2, "at least two chunks (vpp)");
  } else if (is_v_shaped(schedule)) {
    expect(chunks == 2, "two chunks (vpp)");
  } else {
    expect(chunks == 1, "one chunk (vpp)");
  }
}

void check_stage(const PipelineShape& shape, int stage) {
  if (stage < 0 || stage >= shape.stages) {
    reject(fmt::format("pipeline: expected a stage of {}, got {}", shape.stages, stage));
  }
}

}  // namespace

PipelineShape pipeline_shape(const Strategy& strategy, int micro_batches) {
  PipelineShape shape{.schedule = strategy.schedule,
                      .stages = strategy.pp,
                      .chunks = strategy.vpp,
                      .micro_batches = micro_batches};
  if (shape.schedule == Schedule::one_f_one_b && shape.chunks > 1) {
    shape.schedule = Schedule::interleaved;
  }
  if (is_v_shaped(shape.schedule) && shape.chunks == 1) shape.chunks = 2;
  check_pipeline(shape);
  return shape;
}

void check_pipeline(const PipelineShape& shape) {
  const auto& [schedule, p, v, m] = shape;
  if (p < 1 || v < 1 || m < 1) {
    reject(
        fmt::format("pipeline: expected at least one stage, chunk and micro-batch, got {}, {} "
                    "and {}",
                    p, v, m));
  }
  check_chunks(schedule, v);
  if (schedule == Schedule::interleaved && m % p != 0) {
    reject(
        fmt::format("pipeline: interleaved needs a number of micro-batches that its {} stages "
                    "divide, got {}",
                    p, m));
  }
  if (schedule == Schedule::dualpipe && p % 2 != 0) {
    reject(fmt::format("pipeline: dualpipe needs an even number of stages, got {}", p));
  }
  if (schedule == Schedule::dualpipe && (m % 2 != 0 || m / 2 < p)) {
    reject(
        fmt::format("pipeline: dualpipe needs an even number of micro-batches, at least two for "
                    "each of its {} stages, got {}",
                    p, m));
  }
  // Actions are counted in 32 bits, with room to spare.
  constexpr std::int64_t kMost = 200'000'000;
  if (static_cast<double>(p) * v * m > kMost) {
    reject(
        fmt::format("pipeline: {} stages of {} chunks and {} micro-batches are more than {} "
                    "forward passes",
                    p, v, m, kMost));
  }
}

std::vector<PipelineAction> pipeline_schedule(const PipelineShape& shape, int stage) {
  check_pipeline(shape);
  check_stage(shape, stage);
  const int m = shape.micro_batches, behind = shape.stages - stage - 1;
  switch (shape.schedule) {
    case Schedule::gpipe:
      return one_f_one_b_order(m, m);
    case Schedule::one_f_one_b:
      return one_f_one_b_order(m, behind);
    case Schedule::interleaved:
      return interleaved_order(shape, stage);
    case Schedule::zb_h1:
      return zero_bubble_order(m, behind, stage);
    case Schedule::zb_h2:
      return zero_bubble_order(m, 2 * behind, 2 * stage);
    case Schedule::zb_v:
      return zb_v_order(shape, stage);
    case Schedule::dualpipe:
      return dualpipe_order(shape, stage);
  }
  return {};
}

int virtual_stage(Schedule schedule, int pp, int vpp, int stage, int chunk) {
  const int chunks = is_v_shaped(schedule) ? 2 : vpp;
  if (stage < 0 || stage >= pp || chunk < 0 || chunk >= chunks) {
    reject(
        fmt::format("pipeline: expected a stage of {} and a chunk of {}, got stage {} and chunk "
                    "{}",
                    pp, chunks, stage, chunk));
  }
  if (is_v_shaped(schedule)) return chunk == 0 ? stage : 2 * pp - 1 - stage;
  return chunk * pp + stage;
}

bool has_next(const PipelineShape& shape, int at) {
  if (at + 1 >= shape.virtual_stages()) return false;
  return shape.schedule != Schedule::dualpipe || at + 1 != shape.stages;
}

int stage_of(const PipelineShape& shape, int at) {
  if (is_v_shaped(shape.schedule) && at >= shape.stages) return 2 * shape.stages - 1 - at;
  return at % shape.stages;
}

InFlight in_flight(const PipelineShape& shape, int stage) {
  check_pipeline(shape);
  check_stage(shape, stage);
  const int p = shape.stages, v = shape.chunks, m = shape.micro_batches;
  const auto both = [](int most) { return InFlight{most, most}; };
  switch (shape.schedule) {
    case Schedule::gpipe:
      return both(m);
    case Schedule::one_f_one_b:
      return both(std::min(m, p - stage));
    case Schedule::interleaved:
      return both(std::min(m * v, 2 * (p - stage - 1) + (v - 1) * p + 1));
    case Schedule::zb_h1:
      return {std::min(m, p - stage), std::min(m, p)};
    case Schedule::zb_h2:
      return {std::min(m, 2 * (p - stage) - 1), std::min(m, 2 * p - 1)};
    case Schedule::zb_v:
      return both(std::min(m, 2 * p - stage - 1) + std::min(m, stage + 1));
    case Schedule::dualpipe:
      return both(p + 1);
  }
  return {};
}

}  // namespace foreplan
