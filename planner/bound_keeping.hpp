#pragma once

#include <array>
#include <cstdint>

#include "planner/bound.hpp"

namespace foreplan {

/// Of StrategySpace::keepings() of a share, a bit each.
using Keepings = std::uint32_t;

/// Bounds of many strategies of some sizes and share at once, by where state and activations lie, before any
/// partition is cut. A step under some keepings takes at least what the fastest of them takes; those that fit
/// with no partition are left out.
///
/// Where parameters are gathered for every micro-batch (zero 3), or activations go to the host and come
/// back, a pass of a virtual stage takes at least that, forward and backward:
///
///   T >= m / p (max(sum f, wire) + max(sum b, wire))
///   interleaved   the way to the last stage and back + m (max(f, wire) + max(b, wire)) of that stage
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
  /// What passes beside computing: parameters gathered, activations moved.
  struct Lane {
    bool gathers = false, moves = false;
  };
  /// What units take of a micro-batch [ps], and what they keep of it [B].
  struct Work {
    std::int64_t forward = 0, backward = 0, gathers = 0, saved = 0;
  };

  std::array<bool, 4> lanes(Keepings some) const;
  std::int64_t pass(const Work& work, const Lane& lane) const;
  template <typename Bound>
  std::int64_t least(Keepings some, const Bound& bound) const;
  Work all_work(Recompute recompute, std::int64_t saved) const;
  std::int64_t last_stage(const Course& course, const Lane& lane);
  Duration ended(std::int64_t time) const;

  Bounds& bounds_;
  const Sizes& sizes_;
  const Share& share_;
  const UnitSums& units_;
  LayoutFacts& facts_;
  const std::vector<Keeping>& keepings_;
};

}  // namespace foreplan
