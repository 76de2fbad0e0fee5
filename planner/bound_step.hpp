#pragma once

#include "planner/bound.hpp"

// The bound of one strategy; nobody but bound.cpp's classes includes this.

namespace foreplan {

/// One strategy, its virtual stages told.
///
/// What a stage ends with at least follows the order that its schedule prescribes (docs/planner.md, The
/// bound). Times are picoseconds.
class Bounds::Step {
 public:
  struct Place {
    const Sizes& sizes;
    const Share& share;
    const Course& course;
    const Keeping& keeping;
    const Cutting& cutting;
    const UnitSums& units;
    LayoutFacts& facts;
  };
  Step(Bounds& bounds, const Place& place);

  /// By how much the fullest device is short.
  Bytes over();
  Duration time();

 private:
  /// A virtual stage's work on one micro-batch.
  struct Chunk {
    std::int64_t forward = 0, input = 0, weight = 0;
    std::int64_t tail = 0;        ///< a reduction behind its backward
    std::int64_t backward = 0;    ///< of its units, one after the other
    std::int64_t first_unit = 0;  ///< of that, the first one's
    std::int64_t whole() const { return forward + input + weight; }
    std::int64_t back() const { return input + weight; }
  };
  struct Span {
    std::size_t begin = 0, middle = 0, end = 0;  ///< units; the first part is recomputed
  };

  std::int64_t of(const WeightSums& sums, std::size_t begin, std::size_t end) const {
    return sums[end] - sums[begin];
  }
  Span span(int at) const;
  Chunk chunk(const Span& span, std::size_t kind) const;
  void shard(Chunk& chunk, const Span& span, std::size_t kind) const;
  void move(Chunk& chunk, const Span& span, std::size_t kind) const;
  std::int64_t saved(const Span& span) const;
  bool offloads(Offload what) const;

  std::int64_t time(const std::vector<std::size_t>& replica);
  void price(const std::vector<std::size_t>& replica);
  void end_stages();
  void end_gpipe();
  void end_plain();
  void end_zero_bubble();
  void end_interleaved();
  void pass_back(bool whole);
  std::int64_t ready(int stage) const;
  std::int64_t behind(int stage, std::size_t kind) const;
  StageState state(int stage) const;
  Bytes stage_memory(int stage);
  Bytes transient(int stage) const;

  Bounds& bounds_;
  Place at_;
  int p_, v_;
  std::int64_t m_;
  PipelineShape shape_;
  std::vector<Chunk> chunks_;             ///< by virtual stage
  std::vector<std::int64_t> hops_;        ///< behind each virtual stage; the last one's is 0
  std::vector<std::int64_t> ends_;        ///< by stage: its last backward, or its weights' part
  std::vector<std::int64_t> before_;      ///< by virtual stage: when its first forward can start
  std::vector<std::int64_t> first_back_;  ///< by stage: when its first backward can start
};

}  // namespace foreplan
