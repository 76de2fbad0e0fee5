#pragma once

#include "planner/pipeline_evaluator.hpp"

// What the evaluator is made of; nobody else includes this.

namespace foreplan {

/// Rows of prices a virtual stage has: one for each kind of action, and two more for backwards, whole or
/// of the input, whose input comes from a whole backward, which may let it go before its end.
constexpr std::size_t kPricesEach = 6;

/// The row of prices of an action on virtual stage `at` of `parts`.
inline std::size_t price_index(int parts, PipelineAction::Kind kind, int at,
                               bool from_whole_backward = false) {
  const std::size_t block = static_cast<std::size_t>(kind) + (from_whole_backward ? 3 : 0);
  return block * static_cast<std::size_t>(parts) + static_cast<std::size_t>(at);
}

/// Whether a row is that of a whole backward.
inline bool is_whole_backward(int parts, std::size_t row) {
  const std::size_t block = row / static_cast<std::size_t>(parts);
  return block == static_cast<std::size_t>(PipelineAction::Kind::backward) || block == 4;
}

/// Whether a row is that of the weights' part of a backward.
inline bool is_weights(int parts, std::size_t row) {
  return row / static_cast<std::size_t>(parts) ==
         static_cast<std::size_t>(PipelineAction::Kind::backward_weight);
}

/// Draws the order of all actions.
///
/// By their start if a forward and each part of a backward took one unit of time; at one instant by
/// stage. So an input comes before what needs it, neighbours in the order lie on different stages (a
/// processor works on several at once), and the steady state is periodic.
class PipelineEvaluator::Compiler {
 public:
  explicit Compiler(PipelineEvaluator& evaluator)
      : out_(evaluator), shape_(evaluator.shape_), parts_(shape_.virtual_stages()) {}

  void run();

 private:
  struct Draft {
    Step step;
    std::int64_t start = 0;  ///< in units of time
  };

  void draw();
  bool try_next(int stage);
  const std::uint32_t* input(const PipelineAction& action, int at) const;
  std::size_t slot(bool forward, int micro_batch, int at) const;
  void sort();
  void find_steady();
  void check_tails();
  std::uint32_t period() const;
  std::vector<Holding> holdings(const std::vector<PipelineAction>& actions) const;

  PipelineEvaluator& out_;
  const PipelineShape& shape_;
  int parts_;
  std::vector<std::vector<PipelineAction>> lists_;
  std::vector<std::size_t> next_;
  std::vector<std::int64_t> free_;        ///< by stage, in units
  std::vector<std::uint32_t> positions_;  ///< of forwards and backwards, by slot(); 0: not yet
  std::vector<Draft> drafts_;
  std::vector<std::vector<std::uint32_t>> drawn_;  ///< drafts by stage
  std::vector<std::int64_t> finish_{0};            ///< by position, in units
};

/// Walks through one steady state, over as many of its periods as it can at once.
///
/// Let a block be some periods, and w the finish times that actions to come can still see. If w moved by
/// the same d in each of the last two blocks, the actions of the next block see operands that move by d
/// as well. Each takes a maximum; while that stays with the same operand, the action moves by that
/// operand's amount, and if w then moves by d again the same holds for the block behind. A maximum of
/// A > B, moving by a < b a block, stays with A for (A - B)/(b - a) blocks. The least of these over the
/// block is how many blocks can be added at once.
///
/// The length of the block is not known: blocks from a remembered boundary to here are tried, and the
/// boundary is moved up whenever its distance has doubled (Brent, BIT 20, 1980).
class PipelineEvaluator::Skipper {
 public:
  Skipper(const PipelineEvaluator& evaluator, Scratch& scratch, const Steady& steady)
      : evaluator_(evaluator),
        scratch_(scratch),
        steady_(steady),
        window_(std::max(evaluator.reach_, steady.period)) {}

  void run();

 private:
  void step();
  bool stable(std::size_t block) const;
  std::size_t lasting_blocks(std::size_t block);
  Duration moved(std::size_t position, std::size_t block) const;
  void begin_block(std::size_t block);
  void skip(std::size_t block, std::size_t blocks);

  const PipelineEvaluator& evaluator_;
  Scratch& scratch_;
  const Steady& steady_;
  std::size_t window_;  ///< finish times that actions to come can see
  std::size_t at_ = 0;  ///< actions done
};

}  // namespace foreplan
