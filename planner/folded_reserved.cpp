#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "planner/ceil_div.hpp"
#include "planner/folded_step.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Actions [begin, end) of a schedule are alike after every `length`, but for micro-batches `shift` later.
struct Pattern {
  std::size_t begin = 0, end = 0, length = 0;
  int shift = 0;
};

/// The longest stretch that has a period of `length`.
Pattern longest_stretch(const std::vector<PipelineAction>& actions, std::size_t length) {
  Pattern best, current;
  for (std::size_t i = 0; i + length < actions.size(); ++i) {
    const PipelineAction &here = actions[i], &later = actions[i + length];
    const bool alike = here.kind == later.kind && here.chunk == later.chunk;
    const int shift = later.micro_batch - here.micro_batch;
    const bool goes_on = alike && current.length > 0 && shift == current.shift;
    if (!goes_on) current = {i, i, alike ? length : 0, shift};
    current.end = i + 1 + length;
    if (alike && current.end - current.begin > best.end - best.begin) best = current;
  }
  return best;
}

/// Of the periods that schedules have, forward and backward in two or three actions, by micro-batches or
/// by rounds of all stages and chunks, the one that covers most (ties: the shortest).
Pattern pattern_of(const std::vector<PipelineAction>& actions, const PipelineShape& shape) {
  const auto round = static_cast<std::size_t>(shape.virtual_stages());
  Pattern best;
  for (const std::size_t length : {std::size_t{2}, std::size_t{3}, 2 * round, 3 * round}) {
    const Pattern found = longest_stretch(actions, length);
    if (found.end - found.begin > best.end - best.begin) best = found;
  }
  return best;
}

}  // namespace

/// What one stage's device allocates and frees over a step, tensor by tensor, in program order.
///
///   before the step   parameters a unit, all gradients, all optimizer state
///   forward           of each unit what it keeps, an allocation a tensor
///   backward          of each unit, last to first: what it computes anew; then that and what it kept is
///                     freed, the latter by the weights' part where that comes later
///   zero 3            the unit at work and the next one have their parameters gathered
class FoldedStep::StageAllocations {
 public:
  StageAllocations(const FoldedStep& step, int stage) : step_(step), stage_(stage) {
    const PipelineShape& shape = step.shape_;
    for (int c = 0; c < shape.chunks; ++c) {
      chunks_.push_back(
          units_of(virtual_stage(shape.schedule, shape.stages, shape.chunks, stage, c)));
      kept_.emplace_back(static_cast<std::size_t>(shape.micro_batches));
    }
  }

  AllocatorStats run(bool whole) {
    hold_state();
    const std::vector<PipelineAction> actions = pipeline_schedule(step_.shape_, stage_);
    const Pattern pattern = whole ? Pattern{} : pattern_of(actions, step_.shape_);
    for (std::size_t i = 0; i < actions.size(); ++i) {
      const bool anchor = i < pattern.end && i >= pattern.begin && layouts_.size() < kMostLayouts &&
                          (i - pattern.begin) % pattern.length == 0;
      if (anchor) i += skip(pattern, i);
      if (i < actions.size()) run(actions[i]);
    }
    end_step();
    return allocator_.stats();
  }

 private:
  using Blocks = std::vector<CachingAllocator::Block>;
  /// Where every live tensor lies, micro-batches counted from where the period is.
  using Layout = std::vector<std::int64_t>;
  static constexpr std::size_t kMostLayouts = 64;  ///< longer periods are walked through
  /// Sizes of tensors.
  struct Unit {
    std::vector<Bytes> kept{}, recomputed{};
    Bytes parameters{}, gathered{};
    std::vector<Bytes> forward{}, backward{};  ///< working sets
  };

  std::vector<Unit> units_of(int at) const {
    std::vector<Unit> units;
    for (const Piece& piece : step_.stages_[static_cast<std::size_t>(at)]) {
      units.insert(units.end(), static_cast<std::size_t>(piece.count), unit_of(piece));
    }
    return units;
  }

  /// Where a saved item goes; null: it is not kept.
  static std::vector<Bytes> Unit::*destination(const SavedBytes& item, Recompute recompute) {
    using When = SavedBytes::When;
    if (recompute == Recompute::none) {
      return item.when == When::selective ? nullptr : &Unit::kept;
    }
    if (recompute == Recompute::full) {
      return item.when == When::selective || item.entering ? nullptr : &Unit::recomputed;
    }
    return item.when == When::unless_selective ? &Unit::recomputed : &Unit::kept;
  }

  Unit unit_of(const Piece& piece) const {
    const UnitWork& work = step_.works_[piece.unit_class];
    Unit unit;
    if (piece.recompute == Recompute::full) unit.kept.push_back(work.entering);
    for (const SavedBytes& item : work.items) {
      const auto where = destination(item, piece.recompute);
      if (where != nullptr) (unit.*where).push_back(item.bytes);
    }
    unit.forward = work.working.forward_tensors;
    unit.backward = work.working.backward_tensors;
    const Bytes number = element_size(step_.task_.precision);
    const Bytes stored = element_size(step_.task_.stack.stored(step_.task_.precision));
    const std::int64_t tied = step_.shape_.stages > 1 ? work.tied_parameters : 0;
    std::int64_t dense = work.dense_parameters + tied, expert = work.expert_parameters;
    if (step_.strategy_.zero >= 2) {
      const std::int64_t reduced = step_.task_.stack.gradient_bytes;
      const Bytes gradient = number + (reduced == number.count ? Bytes{} : Bytes{reduced});
      const std::int64_t parameters = work.dense_parameters + work.expert_parameters;
      unit.backward.push_back(parameters * number);
      if (gradient > number) unit.backward.push_back(parameters * (gradient - number));
    }
    if (step_.strategy_.zero == 3) {
      unit.gathered = (work.dense_parameters + work.expert_parameters) * number;
      dense = ceil_div(dense, step_.groups_.data_ranks());
      expert = ceil_div(expert, step_.groups_.expert_data_ranks());
    }
    unit.parameters = (dense + expert) * stored;
    return unit;
  }

  CachingAllocator::Block allocate(Bytes bytes) {
    const auto block = allocator_.allocate(bytes);
    if (!block) reject(fmt::format("stage {} holds more than 1 EiB", stage_));
    return *block;
  }

  void allocate(const std::vector<Bytes>& sizes, Blocks& blocks) {
    for (const Bytes bytes : sizes) blocks.push_back(allocate(bytes));
  }

  /// How many actions behind action `at` lead to where memory is laid out as it is now. All that the
  /// allocator does follows from the layout, so that they do what was done since it was like this before.
  std::size_t skip(const Pattern& pattern, std::size_t at) {
    const auto periods = static_cast<int>(layouts_.size());
    Layout layout = layout_of(periods * pattern.shift);
    const auto before = std::find(layouts_.begin(), layouts_.end(), layout);
    if (before == layouts_.end()) {
      layouts_.push_back(std::move(layout));
      return 0;
    }
    const auto cycle = static_cast<std::size_t>(layouts_.end() - before);
    const std::size_t cycles = (pattern.end - at) / (cycle * pattern.length);
    rename(static_cast<int>(cycles * cycle) * pattern.shift);
    layouts_.resize(kMostLayouts);
    return cycles * cycle * pattern.length;
  }

  Layout layout_of(int first_micro_batch) const {
    Layout layout{allocator_.stats().reserved.count};
    for (const std::vector<Blocks>& chunk : kept_) {
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        if (chunk[i].empty()) continue;
        layout.push_back(-1 - static_cast<std::int64_t>(chunk[i].size()));
        layout.push_back(static_cast<std::int64_t>(i) - first_micro_batch);
        for (const CachingAllocator::Block block : chunk[i]) {
          layout.push_back(allocator_.address(block));
          layout.push_back(allocator_.size(block).count);
        }
      }
      layout.push_back(-1);
    }
    return layout;
  }

  /// What a micro-batch holds is from now on held by the one `later`.
  void rename(int later) {
    for (std::vector<Blocks>& chunk : kept_) {
      std::vector<Blocks> renamed(chunk.size());
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        if (!chunk[i].empty()) renamed[i + static_cast<std::size_t>(later)] = std::move(chunk[i]);
      }
      chunk = std::move(renamed);
    }
  }

  void hold_state() {
    for (const std::vector<Unit>& units : chunks_) {
      for (const Unit& unit : units) allocate(unit.parameters);
    }
    const StageMemory& memory = step_.base_.stages[static_cast<std::size_t>(stage_)];
    allocate(placeholders(step_.holding(stage_, {})));
    allocate(memory.gradients);
    allocate(memory.optimizer);
  }

  /// Buffers behind the last backward, one after the other.
  void end_step() {
    const StepBuffers buffers = step_buffers(step_.holding(stage_, {}));
    allocator_.free(allocate(buffers.reduced));
    const CachingAllocator::Block flat = allocate(buffers.flat);
    const CachingAllocator::Block shard = allocate(buffers.shard);
    allocator_.free(flat);
    allocator_.free(shard);
    allocator_.free(allocate(buffers.gathered));
  }

  void run(const PipelineAction& action) {
    const std::vector<Unit>& units = chunks_[static_cast<std::size_t>(action.chunk)];
    Blocks& kept =
        kept_[static_cast<std::size_t>(action.chunk)][static_cast<std::size_t>(action.micro_batch)];
    switch (action.kind) {
      case PipelineAction::Kind::forward:
        return walk(units, false, [&](const Unit& unit) {
          allocate(unit.kept, kept);
          pass_through(unit.forward);
        });
      case PipelineAction::Kind::backward:
        return walk(units, true, [&](const Unit& unit) {
          recompute(unit);
          release(kept, unit.kept.size());
        });
      case PipelineAction::Kind::backward_input:
        return walk(units, true, [&](const Unit& unit) { recompute(unit); });
      case PipelineAction::Kind::backward_weight:
        return release(kept, kept.size());
    }
  }

  /// Visits the units in their order, or backwards, with the parameters of two of them gathered.
  template <typename Visit>
  void walk(const std::vector<Unit>& units, bool backwards, const Visit& visit) {
    const auto unit = [&](std::size_t i) -> const Unit& {
      return units[backwards ? units.size() - 1 - i : i];
    };
    CachingAllocator::Block here = CachingAllocator::kNothing;
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (i == 0) here = allocate(unit(0).gathered);
      const bool more = i + 1 < units.size();
      const auto next = more ? allocate(unit(i + 1).gathered) : CachingAllocator::kNothing;
      visit(unit(i));
      allocator_.free(here);
      here = next;
    }
  }

  void pass_through(const std::vector<Bytes>& tensors) {
    allocate(tensors, temporary_);
    release(temporary_, temporary_.size());
  }

  void recompute(const Unit& unit) {
    allocate(unit.recomputed, temporary_);
    allocate(unit.backward, temporary_);
    release(temporary_, temporary_.size());
  }

  void release(Blocks& blocks, std::size_t last) {
    for (; last > 0; --last) {
      allocator_.free(blocks.back());
      blocks.pop_back();
    }
  }

  const FoldedStep& step_;
  int stage_;
  CachingAllocator allocator_;
  std::vector<std::vector<Unit>> chunks_;
  std::vector<std::vector<Blocks>> kept_;  ///< by chunk and micro-batch
  Blocks temporary_;
  std::vector<Layout> layouts_;  ///< at the beginning of each period so far
};

AllocatorStats FoldedStep::allocator_stats(int stage, bool whole) const {
  if (stage < 0 || stage >= shape_.stages) {
    reject(fmt::format("expected a stage from 0 to {}, got {}", shape_.stages - 1, stage));
  }
  return StageAllocations(*this, stage).run(whole);
}

}  // namespace foreplan
