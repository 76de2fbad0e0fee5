#pragma once

#include <cstdint>
#include <vector>

#include "planner/bound.hpp"

namespace foreplan {

/// Of StrategySpace::keepings() of a share, a bit each.
using Keepings = std::uint32_t;

/// Bounds of many strategies of some sizes and share at once, by where state and activations lie, before any
/// partition is cut. A step under some keepings takes at least what the fastest of them takes; those that fit
/// with no partition are left out.
///
/// Where parameters are gathered for every micro-batch (zero 3), or activations go to the host and come
/// back, the passes of a virtual stage take at least that, forward f' and backward b':
///
///   T >= m / p (sum f' + sum b')
///   interleaved, the way to the last stage and back, what that has to do, and what the first one does then:
///   T >= sum over the first chunks of the others (f + b) + hops + m (f' + b') + gradients + optimizer
class KeepingBounds {
 public:
  /// All must outlive this.
  KeepingBounds(Bounds& bounds, const Sizes& sizes, const Share& share, const UnitSums& units,
                LayoutFacts& facts);

  /// All keepings of the share.
  Keepings all() const;
  /// Those under which the lightest state of some partition fits.
  Keepings holding() const;
  /// Of `some`, those that some partition might fit under; see Bounds::may_fit().
  Keepings fitting(const Course& course, Keepings some) const;

  Duration of(Keepings some);
  Duration of(const Course& course, Keepings some);

 private:
  /// What units take of a micro-batch [ps], and what they keep of it [B].
  struct Work {
    std::int64_t forward = 0, backward = 0, gathers = 0, saved = 0;
    /// Of chunks' first and last units, while the wire or the device has nothing to do.
    std::int64_t first_gathers = 0, last_gathers = 0, last_forward = 0, first_backward = 0;
  };
  struct Ends {
    const EndStages* units = nullptr;
    std::int64_t around = 0;  ///< a micro-batch's way to the last stage and back from it
    Work first, last;
  };
  struct Behind {
    const UnitCounts* stage = nullptr;
    std::size_t keeping = 0;
    Duration time{};
  };

  template <typename Bound>
  std::int64_t least(Keepings some, const Bound& bound) const;
  bool another_is_faster(std::size_t keeping, Keepings some) const;
  std::int64_t pass(const Work& work, const Keeping& keeping) const;
  Work all_work(Recompute recompute, const WeightSums& saved) const;
  Work work_of(const StageUnits& stage, Again again) const;
  void look_at_ends(const Course& course);
  std::int64_t of_ends(const Course& course, std::size_t keeping, std::int64_t beside);
  std::int64_t exposed(const EndStages& ends, const Course& course, const Keeping& keeping);
  std::int64_t last_backward(const EndStages& ends, const Course& course, const Keeping& keeping);
  std::int64_t behind(const EndStages& ends, std::size_t keeping);

  Bounds& bounds_;
  const Sizes& sizes_;
  const Share& share_;
  const UnitSums& units_;
  LayoutFacts& facts_;
  const std::vector<Keeping>& keepings_;
  const WeightSums* gather_ = nullptr;  ///< of parameters, where replicas share them
  std::vector<Ends> ends_;              ///< of the course asked for
  std::vector<Behind> behind_;          ///< few
};

}  // namespace foreplan
