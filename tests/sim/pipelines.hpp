#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "tests/sim/graphs.hpp"

// Pipelines as graphs, for tests whose answer is a closed form.

namespace foreplan {

/// A pipeline of p stages, each a device of its own, and m micro-batches.
struct PipelineSpec {
  std::vector<Duration> forward;   ///< by stage
  std::vector<Duration> backward;  ///< by stage
  int micro_batches = 1;
  Duration hop{};  ///< latency of a transfer between neighbouring stages
};

/// The order of work on one stage: forward of micro-batch i as i, its backward as -1 - i.
using StageOrder = std::vector<int>;

/// All forwards, then all backwards.
inline StageOrder gpipe_order(int micro_batches) {
  StageOrder order;
  for (int i = 0; i < micro_batches; ++i) order.push_back(i);
  for (int i = 0; i < micro_batches; ++i) order.push_back(-1 - i);
  return order;
}

/// As many forwards as stages follow, then one forward and one backward by turns, then the rest.
inline StageOrder one_forward_one_backward_order(int micro_batches, int stages_behind) {
  const int warm_up = std::min(micro_batches, stages_behind);
  StageOrder order;
  for (int i = 0; i < warm_up; ++i) order.push_back(i);
  for (int i = warm_up; i < micro_batches; ++i) {
    order.push_back(i);
    order.push_back(-1 - (i - warm_up));
  }
  for (int i = micro_batches - warm_up; i < micro_batches; ++i) order.push_back(-1 - i);
  return order;
}

/// The tasks of a pipeline, transfers between stages included.
inline PricedGraph pipeline(const PipelineSpec& spec, const std::vector<StageOrder>& orders) {
  const int stages = static_cast<int>(orders.size());
  const auto m = static_cast<std::size_t>(spec.micro_batches);
  PricedBuilder builder(stages);
  std::vector<std::vector<TaskId>> forward(orders.size(), std::vector<TaskId>(m));
  std::vector<std::vector<TaskId>> backward = forward;
  for (int s = 0; s < stages; ++s) {
    const auto at = static_cast<std::size_t>(s);
    for (const int step : orders[at]) {
      if (step >= 0) {
        forward[at][static_cast<std::size_t>(step)] = builder.work(s, spec.forward[at]);
      } else {
        backward[at][static_cast<std::size_t>(-1 - step)] = builder.work(s, spec.backward[at]);
      }
    }
  }
  const auto join = [&](int from, int to, TaskId before, TaskId after) {
    builder.builder().add_after(after, builder.transfer({from, to}, 0_B, spec.hop, {before}));
  };
  for (int s = 0; s < stages; ++s) {
    const auto at = static_cast<std::size_t>(s);
    for (std::size_t i = 0; i < m; ++i) {
      if (s + 1 < stages) join(s, s + 1, forward[at][i], forward[at + 1][i]);
      if (s > 0) join(s, s - 1, backward[at][i], backward[at - 1][i]);
      if (s + 1 == stages) builder.builder().add_after(backward[at][i], forward[at][i]);
    }
  }
  return std::move(builder).build();
}

inline PricedGraph gpipe(const PipelineSpec& spec) {
  return pipeline(spec,
                  std::vector<StageOrder>(spec.forward.size(), gpipe_order(spec.micro_batches)));
}

inline PricedGraph one_forward_one_backward(const PipelineSpec& spec) {
  std::vector<StageOrder> orders;
  for (std::size_t s = 0; s < spec.forward.size(); ++s) {
    const int behind = static_cast<int>(spec.forward.size() - s) - 1;
    orders.push_back(one_forward_one_backward_order(spec.micro_batches, behind));
  }
  return pipeline(spec, orders);
}

}  // namespace foreplan
