#include "planner/unit_cost.hpp"

#include <algorithm>

#include "planner/overlap.hpp"

namespace foreplan {
namespace {

Duration scaled(Duration duration, double factor) {
  if (factor == 1) return duration;
  return Duration(static_cast<std::int64_t>(static_cast<double>(duration.count()) * factor + 0.5));
}

class UnitPricer {
 public:
  UnitPricer(const UnitWork& work, const Pricing& pricing) : work_(work), pricing_(pricing) {}

  UnitCost price() {
    for (const LayerWork& layer : work_.layers) add(layer);
    for (const Exchange& exchange : work_.exchanges) add(exchange);
    if (pricing_.recompute == Recompute::full) {
      cost_.recompute = cost_.forward;
      cost_.recompute_exchange = cost_.forward_exchange;
    }
    return cost_;
  }

 private:
  Duration time(const std::vector<Op>& ops) const {
    Duration sum{};
    const Duration launch = pricing_.costs.dispatch(pricing_.spec);
    for (const Op& op : ops) {
      sum += scaled(pricing_.costs.compute_time(op, pricing_.spec), pricing_.slowdown) + launch;
    }
    return sum;
  }

  void add(const LayerWork& layer) {
    const Duration forward = time(layer.ops.forward);
    forward_.push_back(forward);
    input_.push_back(time(layer.ops.backward_input));
    weight_.push_back(time(layer.ops.backward_weight));
    cost_.forward += forward;
    cost_.backward_input += input_.back();
    cost_.backward_weight += weight_.back();
    if (pricing_.recompute == Recompute::selective && layer.recomputed_selectively) {
      cost_.recompute += forward;
    }
  }

  std::size_t place(LayerId id) const {
    return static_cast<std::size_t>(id) - static_cast<std::size_t>(work_.layers.front().layer);
  }

  Duration sum(const std::vector<Duration>& times, const std::vector<LayerId>& layers) const {
    Duration total{};
    for (const LayerId layer : layers) total += times[place(layer)];
    return total;
  }

  /// What hides an exchange.
  Duration cover(const Exchange& exchange) const {
    const bool forward = exchange.pass == Pass::forward;
    if (exchange.axis == Axis::context) {
      const int steps = pricing_.context_ranks;
      const Duration attention = sum(forward ? forward_ : input_, exchange.beside);
      // Two exchanges share what attention offers backward.
      return attention * (steps - 1) / steps / (forward ? 1 : 2);
    }
    if (forward || exchange.kind == CollectiveKind::all_gather) return {};
    if (!pricing_.stack.overlap_tensor) return {};
    return sum(weight_, exchange.beside);
  }

  /// Whether it goes in parts, each beside a part of the products around it.
  bool pipelined(const Exchange& exchange) const {
    const bool before_weights =
        exchange.pass != Pass::forward && exchange.kind != CollectiveKind::all_gather;
    return exchange.axis == Axis::tensor && pricing_.stack.pipeline_tensor &&
           pricing_.tensor_ranks > 1 && !before_weights && !exchange.beside.empty();
  }

  Duration exposed(const Exchange& exchange) const {
    if (!pipelined(exchange)) {
      return time_beside(exchange.time, cover(exchange), pricing_.costs.overlap(pricing_.spec));
    }
    const Duration first = exchange.time / pricing_.tensor_ranks;
    const Duration products =
        sum(exchange.pass == Pass::forward ? forward_ : input_, exchange.beside);
    const Duration others = products - products / pricing_.tensor_ranks;
    return first + time_beside(exchange.time - first, others, {});
  }

  void add(const Exchange& exchange) {
    const bool forward = exchange.pass == Pass::forward;
    (forward ? cost_.forward_exchange : cost_.backward_exchange) += exposed(exchange);
  }

  const UnitWork& work_;
  const Pricing& pricing_;
  UnitCost cost_;
  std::vector<Duration> forward_, input_, weight_;  ///< by layer
};

}  // namespace

UnitCost price(const UnitWork& work, const Pricing& pricing) {
  return UnitPricer(work, pricing).price();
}

}  // namespace foreplan
