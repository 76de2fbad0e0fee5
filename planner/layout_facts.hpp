#pragma once

#include <map>
#include <vector>

#include "planner/gradient_sync.hpp"
#include "planner/space.hpp"
#include "planner/unit_sums.hpp"

namespace foreplan {

/// What the groups of (tp, cp, ep, dp) take, where an order puts them, for what bounds ask again and again, each time exactly as a
/// FoldedStep has it, computed once; under several orders the least of what each of these has. Not for several
/// threads at once.
class LayoutFacts {
 public:
  LayoutFacts(const Task& task, const UnitChain& chain, const Sizes& sizes, const OrderSet& orders);

  /// Of the first order.
  const RankGroups& groups() const { return groups_.front(); }

  /// Activations from a stage to another.
  Duration hop(int from, int to, Bytes bytes, bool sp);
  /// The same from the first stage to the last, one after the other.
  Duration way(int stages, Bytes bytes, bool sp);
  /// A word from the first stage to the last and back, where gradients are clipped.
  Duration norm(int stages);
  /// Gradients of a table that the first and the last stage hold.
  Duration tied(int stages, std::int64_t parameters);
  /// All buckets of a stage with these parameters, and the last of them.
  struct Buckets {
    Duration all{}, last{};
  };
  Buckets buckets(std::int64_t dense, CollectiveKind kind);
  /// Experts' gradients, which go unit by unit: sums over the chain [ps].
  const WeightSums& experts(const UnitSums& units, CollectiveKind kind);
  /// Updated parameters.
  Duration gather(const StageState& state, int zero);
  /// Parameters that come and gradients that go with every micro-batch: sums over the chain [ps].
  struct Sharded {
    WeightSums gather, reduce;
  };
  const Sharded& sharded(const UnitSums& units, int zero);

 private:
  template <typename Time>
  Duration least(const Time& time) const;
  Duration over_data(CollectiveKind kind, Bytes bytes);

  const Task& task_;
  const UnitChain& chain_;
  std::vector<RankGroups> groups_;  ///< by order
  bool shorthand_;
  struct Hop {
    std::int64_t bytes = 0;
    bool sp = false;
    /// In a cluster told in short: -1, and under which orders they lie in one node, a bit each.
    int from = 0, to = 0;
    Duration time{};
  };
  std::vector<Hop> hops_;  ///< few
  struct Way {
    int stages = 0;
    std::int64_t bytes = 0;
    bool sp = false;
    Duration time{};
  };
  std::vector<Way> ways_;
  std::map<int, Duration> norms_;
  std::map<std::pair<int, std::int64_t>, Duration> tied_;
  std::map<std::pair<CollectiveKind, std::int64_t>, Duration> data_;
  std::map<CollectiveKind, WeightSums> experts_;
  std::map<std::pair<std::int64_t, std::int64_t>, Duration> gathers_;
  std::map<int, Sharded> sharded_;
};

}  // namespace foreplan
