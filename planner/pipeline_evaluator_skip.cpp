#include <algorithm>
#include <limits>

#include "planner/pipeline_evaluator_parts.hpp"

namespace foreplan {
namespace {

/// Blocks ahead that make it worth looking through one: that costs as much as walking two.
constexpr std::size_t kWorth = 3;

}  // namespace

void PipelineEvaluator::Skipper::step() {
  evaluator_.replay(at_, at_ + steady_.period, scratch_);
  at_ += steady_.period;
}

void PipelineEvaluator::Skipper::run() {
  at_ = steady_.begin;
  const std::size_t end = steady_.end();
  while (at_ < end && at_ < window_) step();
  // Times are known back to `origin`, less the window; blocks are measured from `kept`.
  std::size_t origin = at_, kept = at_;
  while (at_ < end) {
    step();
    const std::size_t block = at_ - kept;
    if (kept != origin && end - at_ >= kWorth * block && stable(block)) {
      const std::size_t blocks = std::min(lasting_blocks(block), (end - at_) / block);
      if (blocks > 0) {
        skip(block, blocks);
        origin = kept = at_;
        continue;
      }
    }
    if (block >= kept - origin) kept = at_;
  }
}

/// What the time at `position` moved by over one block.
Duration PipelineEvaluator::Skipper::moved(std::size_t position, std::size_t block) const {
  return scratch_.finish_[position] - scratch_.finish_[position - block];
}

bool PipelineEvaluator::Skipper::stable(std::size_t block) const {
  for (std::size_t back = 0; back < window_; ++back) {
    if (moved(at_ - back, block) != moved(at_ - back - block, block)) return false;
  }
  return true;
}

/// Sets the stages' times to what they were before the last block, and their shifts to what these
/// moved by in it.
void PipelineEvaluator::Skipper::begin_block(std::size_t block) {
  for (std::size_t position = at_ - steady_.period + 1; position <= at_; ++position) {
    const Step& step = evaluator_.order_[position - 1];
    const Duration blocked = scratch_.prices_[step.price].blocked;
    scratch_.block_free_[step.stage] = {scratch_.finish_[position - block] + blocked,
                                        moved(position, block)};
  }
}

std::size_t PipelineEvaluator::Skipper::lasting_blocks(std::size_t block) {
  const std::size_t before = at_ - block;
  scratch_.block_free_.resize(scratch_.free_.size());
  scratch_.shift_.resize(block);
  scratch_.walked_ += static_cast<std::int64_t>(block);
  begin_block(block);
  std::int64_t lasting = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < block; ++i) {
    const Step& step = evaluator_.order_[before + i];
    const Scratch::Price& price = scratch_.prices_[step.price];
    Scratch::Moving& stage = scratch_.block_free_[step.stage];
    Scratch::Moving first = stage, second{scratch_.finish_[step.input] + price.delay, {}};
    if (step.input > before) {
      second.shift = scratch_.shift_[step.input - before - 1];
    } else if (step.input != 0) {
      second.shift = moved(step.input + block, block);
    }
    if (std::pair(second.time, second.shift) > std::pair(first.time, first.shift)) {
      std::swap(first, second);
    }
    if (second.shift > first.shift) {
      lasting = std::min(lasting, (first.time - second.time) / (second.shift - first.shift));
    }
    scratch_.shift_[i] = first.shift;
    stage = {scratch_.finish_[before + i + 1] + price.blocked, first.shift};
  }
  for (std::size_t back = 0; back < std::min(block, window_); ++back) {
    if (scratch_.shift_[block - 1 - back] != moved(at_ - back, block)) return 0;
  }
  return static_cast<std::size_t>(lasting);
}

void PipelineEvaluator::Skipper::skip(std::size_t block, std::size_t blocks) {
  const std::size_t landing = at_ + block * blocks;
  const auto times = static_cast<std::int64_t>(blocks);
  for (std::size_t position = at_ - steady_.period + 1; position <= at_; ++position) {
    const Step& step = evaluator_.order_[position - 1];
    scratch_.free_[step.stage] = scratch_.finish_[position] + moved(position, block) * times +
                                 scratch_.prices_[step.price].blocked;
  }
  // Downwards, so that nothing is read after it was written.
  for (std::size_t back = 0; back < window_; ++back) {
    scratch_.finish_[landing - back] =
        scratch_.finish_[at_ - back] + moved(at_ - back, block) * times;
  }
  at_ = landing;
}

}  // namespace foreplan
