#pragma once

#include <optional>

#include "planner/bound.hpp"
#include "planner/stage_memory.hpp"

namespace foreplan {

/// Bounds of the strategies that differ in zero and offload only, their virtual stages told.
///
/// What a stage ends with at least follows from the order that its schedule prescribes (docs/planner.md, The
/// bound). Times are picoseconds.
class StepBound {
 public:
  /// What is told of the strategy; all must outlive this.
  struct Place {
    const Sizes& sizes;
    const Share& share;
    const Course& course;
    const Borders& borders;
    int recomputed = 0;  ///< layers of each virtual stage, Again::some
    const UnitSums& units;
    LayoutFacts& facts;
  };
  StepBound(Bounds& bounds, const Place& place);

  /// No step is shorter, whatever lies where.
  Duration least();
  /// By how much the fullest device is short at least; 0 and less: it may fit.
  Bytes over(const Keeping& keeping);
  /// No step is shorter.
  Duration time(const Keeping& keeping);

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
  /// Its units; the first part is recomputed.
  struct Span {
    std::size_t begin = 0, middle = 0, end = 0;
  };
  /// What a stage holds, as far as it hangs on no keeping.
  struct Held {
    Bounds::Optimized optimized{};
    Bytes activations{}, largest_chunk{};
    std::vector<std::vector<UnitPiece>> chunks{};
  };

  static std::int64_t of(const WeightSums& sums, std::size_t begin, std::size_t end) {
    return sums[end] - sums[begin];
  }
  Span span_of(int at) const;
  void hold_all();
  Held held_by(int stage) const;
  std::vector<UnitPiece> pieces_of(const Span& span) const;
  Bytes saved(const Span& span) const;

  Chunk chunk(const Span& span, std::size_t kind, const Keeping& keeping) const;
  void shard(Chunk& chunk, const Span& span, std::size_t kind, int zero) const;
  void move(Chunk& chunk, const Span& span, std::size_t kind) const;
  void price(const std::vector<std::size_t>& replica, const Keeping& keeping);
  void run(const std::vector<std::size_t>& replica, const Keeping& keeping);
  void end_stages();
  void end_gpipe();
  void end_plain();
  void end_zero_bubble();
  void end_interleaved();
  void pass_back(bool whole);
  Keeping plain() const { return {.zero = at_.share.sharded ? 2 : 0}; }
  std::int64_t finish(std::vector<std::int64_t>& ready) const;
  std::int64_t ready(int stage, const Keeping& keeping) const;
  std::int64_t time(const std::vector<std::size_t>& replica, const Keeping& keeping);

  Bounds& bounds_;
  Place at_;
  int p_, v_;
  std::int64_t m_;
  PipelineShape shape_;
  std::vector<Span> spans_;               ///< by virtual stage
  std::vector<Held> held_;                ///< by stage
  std::vector<Chunk> chunks_;             ///< by virtual stage
  std::vector<std::int64_t> hops_;        ///< behind each virtual stage; the last one's is 0
  std::vector<std::int64_t> ends_;        ///< by stage: its last backward, or its weights' part
  std::vector<std::int64_t> before_;      ///< by virtual stage: when its first forward can start
  std::vector<std::int64_t> first_back_;  ///< by stage: when its first backward can start
  /// What these say is of one replica that shards so (zero, at least 1), and moves activations or not.
  std::optional<std::pair<int, bool>> run_{};
};

}  // namespace foreplan
