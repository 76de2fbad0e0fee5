#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/pipeline_evaluator.hpp"
#include "planner/stage_layout.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// What a step works at least, from the prices of its units alone: some microseconds, no schedule drawn.
///
///   backward whole:   max_i  sum_{j<i} f_j + m t_i + sum_{j<i} b_j
///   backward split:   max_i  sum_{j<i} f_j + max(m t_i, m (f_i + x_i) + sum_{j<i} x_j)
///
/// t_i is what stage i does for one micro-batch, of all its chunks; f_j, b_j and x_j are forward, backward and
/// gradient of the input of the first chunk of stage j. Stage i cannot start before the first micro-batch
/// came through the first chunks before it, and its last backward has to go back through them. Hops,
/// aggregation, optimizer and memory traffic come on top, so no forecast is faster
/// (WorkBounds.NeverExceedTheForecast). Branches on devices of their own: m t over bp. Devices or nodes that
/// differ, and splits by layers: 0.
///
/// Prices are kept; threads may share one. The task must outlive it.
class WorkBounds {
 public:
  explicit WorkBounds(const Task& task);

  /// @param strategy  its micro-batch told, and of a network with uneven stages the layers
  /// @return  empty if it cannot be laid out; why not is then in `reason`
  std::optional<Duration> bound(const Strategy& strategy, std::string& reason) const;

 private:
  /// By unit class.
  using Prices = std::vector<UnitCost>;
  using Key = std::tuple<int, int, int, int, bool, std::int64_t, Recompute, int>;

  Duration checked_bound(const Strategy& strategy) const;
  std::vector<int> usual_layers(int parts) const;
  const Prices& prices(const Strategy& strategy) const;
  Prices priced(const Strategy& strategy) const;
  std::vector<VirtualStageCost> virtual_stages(const Strategy& strategy, int parts) const;

  const Task& task_;
  UnitChain chain_;
  bool alike_ = true;
  mutable std::mutex mutex_;
  mutable std::map<Key, Prices> prices_;  ///< empty: refused
  mutable std::map<Key, std::string> refusals_;
};

}  // namespace foreplan
