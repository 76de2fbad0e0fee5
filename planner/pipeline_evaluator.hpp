#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/pipeline_schedule.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// What a micro-batch costs on one virtual stage [ps].
struct VirtualStageCost {
  Duration forward{};
  Duration backward_input{};
  Duration backward_weight{};  ///< the whole backward is both parts
  /// Of a whole backward: what still runs after the gradient of its input has left, as the weights of
  /// its first layer may. At most the two parts together.
  Duration backward_tail{};
  Duration whole() const { return forward + backward_input + backward_weight; }
};

/// From one virtual stage to the next and back.
struct HopCost {
  Duration forward{};     ///< from the end of a forward to where the next may start [ps]
  Duration backward{};    ///< the same for gradients, from the later to the earlier [ps]
  bool blocking = false;  ///< the sender's stage waits until the data has arrived
};

/// Prices of a pipeline by virtual stage, see virtual_stage().
struct PipelineCosts {
  std::vector<VirtualStageCost> stages{};  ///< p v
  /// From virtual stage j to j + 1, p v - 1 of them; none at all: all free. Not counted where both lie
  /// on one stage, or no data crosses (between DualPipe's two chains).
  std::vector<HopCost> hops{};
};

/// What a chunk of a micro-batch holds on one virtual stage.
struct ChunkMemory {
  Bytes activations{};  ///< from the start of forward to the end of backward, of the input at least
  Bytes for_weight{};   ///< of these, kept until the gradient of the weights where that comes later
};

struct PipelineTimes {
  Duration makespan{};
  std::vector<Duration> busy{};  ///< by stage: the sum of its actions
  std::vector<Duration> idle{};  ///< by stage: makespan - busy, hops that block it included
};

/// When an action runs.
struct ActionTimes {
  Duration start{};
  Duration finish{};
};

/// The exact times of a pipeline whose stages each work through a fixed list.
///
///   start(a) = max(finish of the action before a on its stage [+ the hop, where that blocks],
///                  finish of a's input on the neighbouring virtual stage [- its tail] + hop)
///
/// An instance holds the order of all actions, drawn once for a shape; costs are replayed over it, again
/// and again. makespan() skips what repeats: a period of the steady state is a max-plus linear map of
/// finish times, so once every time has moved by the same amount twice, and every maximum is going to be
/// taken by the same side, n periods are one addition. Its cost hardly grows with m, and its result is
/// that of the full replay, to the picosecond.
///
/// Immutable, so that threads may share one; each brings a Scratch of its own.
///
/// Source: Baccelli, Cohen, Olsder and Quadrat, Synchronization and Linearity, 1992, chapter 3.
class PipelineEvaluator {
 public:
  /// @throws Error(invalid_argument) as check_pipeline() does, or for more than 10,922 virtual stages
  explicit PipelineEvaluator(const PipelineShape& shape);

  /// Where evaluations keep their intermediate times; reused, it allocates nothing.
  class Scratch {
   public:
    /// How many actions the last evaluation walked through, skipped ones not counted.
    std::int64_t walked() const { return walked_; }

   private:
    friend class PipelineEvaluator;
    struct alignas(32) Price {
      Duration delay{};     ///< from the input's finish
      Duration duration{};  ///< of the action
      Duration blocked{};   ///< of the stage afterwards
    };
    struct Moving {
      Duration time{};
      Duration shift{};  ///< what it moves by in a block of periods
    };
    std::vector<Price> prices_;
    std::vector<Duration> finish_;    ///< by position in the order; [0] is the start of the step
    std::vector<Duration> free_;      ///< by stage: when it can start something else
    std::vector<Moving> block_free_;  ///< the same within a block that is looked through again
    std::vector<Duration> shift_;     ///< by action of that block
    std::int64_t walked_ = 0;
  };

  const PipelineShape& shape() const { return shape_; }
  std::int64_t actions() const { return static_cast<std::int64_t>(order_.size()); }

  /// When the last action ends.
  /// @throws Error(invalid_argument) unless there is a cost for each virtual stage (and each hop, or
  ///   none), none is negative, no tail exceeds its backward, and their sum over all actions stays
  ///   below 2^62 ps
  Duration makespan(const PipelineCosts& costs, Scratch& scratch) const;

  /// The same by walking through every action.
  Duration replayed_makespan(const PipelineCosts& costs, Scratch& scratch) const;

  /// Makespan, and how long each stage works and waits.
  PipelineTimes times(const PipelineCosts& costs, Scratch& scratch) const;

  /// When each virtual stage's last backward runs (the weights' part, where that is apart), and each stage
  /// ends; what repeats is skipped. `times` is reused.
  struct Tails {
    std::vector<ActionTimes> last_backward{};  ///< by virtual stage
    std::vector<Duration> stage_finish{};      ///< by stage
  };
  void tails(const PipelineCosts& costs, Scratch& scratch, Tails& times) const;

  /// By stage, in the order of pipeline_schedule(): when each action runs.
  std::vector<std::vector<ActionTimes>> timeline(const PipelineCosts& costs) const;

  /// The most that each stage holds at once, whatever the costs.
  /// @param memory  of each virtual stage
  /// @throws Error(invalid_argument) unless there is one for each virtual stage, and
  ///   0 <= for_weight <= activations
  std::vector<Bytes> peak_memory(std::span<const ChunkMemory> memory) const;

 private:
  /// An action: where its input stands in the order (0: none), its stage, its row of prices.
  struct Step {
    std::uint32_t input = 0;
    std::uint16_t stage = 0;
    std::uint16_t price = 0;
  };
  /// Actions [begin, begin + repeats period) of the order: every period is like the one before.
  struct Steady {
    std::uint32_t begin = 0;
    std::uint32_t period = 0;
    std::uint32_t repeats = 0;
    std::size_t end() const { return begin + std::size_t{repeats} * period; }
  };
  /// Chunks that a stage holds at one time, by chunk: whole, and for their weights only.
  using Holding = std::vector<int>;

  class Compiler;
  class Skipper;

  void prepare(const PipelineCosts& costs, Scratch& scratch) const;
  void set_prices(const PipelineCosts& costs, Scratch& scratch) const;
  void check_sum(const Scratch& scratch) const;
  void replay(std::size_t begin, std::size_t end, Scratch& scratch) const;
  Duration last_finish(const Scratch& scratch) const;

  PipelineShape shape_;
  std::vector<Step> order_;  ///< inputs come first; [i] stands at position i + 1
  std::vector<Steady> steady_;
  std::uint32_t reach_ = 0;                   ///< an input lies at most so far back
  std::vector<std::uint32_t> last_;           ///< by stage: position of its last action
  std::vector<std::uint32_t> last_backward_;  ///< by virtual stage
  /// Whether the times of all of these are known after skipping: none lies so deep in a steady state that
  /// it may be skipped itself.
  bool tails_survive_ = true;
  std::vector<std::int64_t> uses_;              ///< by price: how many actions
  std::vector<std::vector<Holding>> holdings_;  ///< by stage: those that no other exceeds
};

}  // namespace foreplan
