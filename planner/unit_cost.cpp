#include "planner/unit_cost.hpp"

#include <algorithm>
#include <utility>

#include "models/op_cost.hpp"
#include "planner/overlap.hpp"
#include "sim/kernel_model.hpp"

namespace foreplan {
namespace {

Duration scaled(Duration duration, double factor) {
  if (factor == 1) return duration;
  return Duration(static_cast<std::int64_t>(static_cast<double>(duration.count()) * factor + 0.5));
}

/// An op as a thread hands it out.
struct Handed {
  Duration time;
  double launches = 0;
};

/// When a pass ends whose first kernel an idle device waits for. An op's kernels take the same time each, so that
/// the device waits longest for its first or for its last one, or not at all.
Duration end_of(const std::vector<Handed>& pass, Duration launch) {
  double handed_out = 0;
  Duration end{};
  for (const auto& [time, launches] : pass) {
    const Duration first = scaled(launch, handed_out + std::min(launches, 1.0));
    handed_out += launches;
    const Duration last = scaled(launch, handed_out) + scaled(time, 1 / std::max(launches, 1.0));
    end = launches > 0 ? std::max({end + time, first + time, last}) : end + time;
  }
  return end;
}

class UnitPricer {
 public:
  UnitPricer(const UnitWork& work, const Pricing& pricing) : work_(work), pricing_(pricing) {}

  /// @param slower_products  how many times as long as at full clock products take
  UnitCost price(double slower_products) {
    slower_products_ = slower_products;
    products_ = again_ = again_exchange_ = Duration::zero();
    cost_ = {};
    next_kernel_ = 0;
    forward_.clear(), input_.clear(), weight_.clear();
    handed_forward_.clear(), handed_backward_.clear();
    if (pricing_.measured) count_flops();
    for (const LayerWork& layer : work_.layers) add(layer);
    for (const Exchange& exchange : work_.exchanges) add(exchange);
    const Duration before = cost_.forward;
    if (!pricing_.measured && pricing_.stack.host_launch > Duration::zero()) wait_for_host();
    if (pricing_.recompute == Recompute::full) {
      // The host's time is that of the kernels that it hands out: the waits of forward come again.
      cost_.recompute = again_ + (cost_.forward - before);
      cost_.recompute_exchange = again_exchange_;
    }
    return cost_;
  }

  /// Of the unit's time, exchanges and waits included, that in which products multiply.
  double product_share() const {
    const Duration whole =
        cost_.whole_forward() + cost_.whole_backward_input() + cost_.backward_weight;
    return whole > Duration::zero() ? seconds(products_) / seconds(whole) : 0;
  }

 private:
  /// Of an op at full clock: asked once, for each pass over the ops is in the same order.
  Duration kernel_time(const Op& op) {
    if (next_kernel_ == kernels_.size()) {
      kernels_.push_back(scaled(pricing_.costs.compute_time(op, pricing_.spec), pricing_.slowdown));
    }
    return kernels_[next_kernel_++];
  }

  /// @param times  how often the ops run
  /// @param handed  takes them, in order
  Duration time(const std::vector<Op>& ops, std::vector<Handed>& handed, int times = 1) {
    Duration sum{};
    const Duration launch = pricing_.costs.dispatch(pricing_.spec);
    for (const Op& op : ops) {
      Duration kernel = kernel_time(op);
      if (op.product.batch > 0 && element_size(op.key.dtype).count < 4) {
        const double multiplying = product_activity(op, pricing_.spec, kernel);
        kernel = scaled(kernel, slower_products_);
        products_ += times * scaled(kernel, multiplying);
      }
      kernel += scaled(launch, op.launches);
      sum += kernel;
      handed.push_back({kernel, op.launches});
    }
    return sum;
  }

  static double launches(const std::vector<Op>& ops) {
    double kernels = 0;
    for (const Op& op : ops) kernels += op.launches;
    return kernels;
  }

  /// How much longer than the device alone a pass takes for the host that hands it out.
  Duration host_wait(double kernels, Duration device) const {
    const Duration host = scaled(pricing_.stack.host_launch, kernels);
    if (pricing_.stack.host_pace == HostPace::waits) return host;
    return std::max(Duration::zero(), host - device);
  }

  void wait_for_host() {
    if (pricing_.stack.host_pace != HostPace::starts_idle) return wait_for_slower_host();
    const Duration launch = pricing_.stack.host_launch;
    cost_.forward = end_of(handed_forward_, launch);
    cost_.backward_input = end_of(handed_backward_, launch) - cost_.backward_weight;
  }

  void wait_for_slower_host() {
    double forward = 0, backward = 0;
    for (const LayerWork& layer : work_.layers) {
      forward += launches(layer.ops.forward);
      backward += launches(layer.ops.backward_input) + launches(layer.ops.backward_weight);
    }
    for (const Exchange& exchange : work_.exchanges) {
      (exchange.pass == Pass::forward ? forward : backward) += 1;
    }
    cost_.forward += host_wait(forward, cost_.whole_forward());
    cost_.backward_input +=
        host_wait(backward, cost_.backward_input + cost_.backward_exchange + cost_.backward_weight);
  }

  static double matrix_flops(const std::vector<Op>& ops) {
    double sum = 0;
    for (const Op& op : ops) sum += op.matrix.count;
    return sum;
  }

  void count_flops() {
    for (const LayerWork& layer : work_.layers) {
      forward_flops_ += matrix_flops(layer.ops.forward);
      backward_flops_ +=
          matrix_flops(layer.ops.backward_input) + matrix_flops(layer.ops.backward_weight);
    }
  }

  /// The share of a measured time that ops are, up to the end of them: shares add up to the whole.
  Duration share(Duration whole, double flops, double all, double& done) const {
    const Duration time = scaled(whole, pricing_.slowdown);
    if (all <= 0) {
      // No products: the first layer is all of it.
      return std::exchange(done, 1) == 0 ? time : Duration::zero();
    }
    const Duration before = scaled(time, done / all);
    done += flops;
    return scaled(time, done / all) - before;
  }

  void add(const LayerWork& layer) {
    const LayerOps& ops = layer.ops;
    Duration forward{};
    if (const auto& whole = pricing_.measured) {
      forward = share(whole->forward, matrix_flops(ops.forward), forward_flops_, forward_done_);
      input_.push_back(share(whole->backward, matrix_flops(ops.backward_input), backward_flops_,
                             backward_done_));
      weight_.push_back(share(whole->backward, matrix_flops(ops.backward_weight), backward_flops_,
                              backward_done_));
    } else {
      const bool again = pricing_.recompute == Recompute::full && layer.recomputed;
      forward = time(ops.forward, handed_forward_, again ? 2 : 1);
      std::vector<Handed> backward;
      input_.push_back(time(ops.backward_input, backward));
      weight_.push_back(time(ops.backward_weight, backward));
      // Backward begins with the last layer.
      handed_backward_.insert(handed_backward_.begin(), backward.begin(), backward.end());
    }
    forward_.push_back(forward);
    cost_.forward += forward;
    cost_.backward_input += input_.back();
    cost_.backward_weight += weight_.back();
    if (layer.recomputed) again_ += forward;
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
    if (exchange.axis == Axis::expert) return beside_other_micro_batch(exchange.pass);
    if (forward || exchange.kind == CollectiveKind::all_gather) return {};
    if (!pricing_.stack.overlap_tensor) return {};
    return sum(weight_, exchange.beside);
  }

  /// What another micro-batch does backward while this one's rows travel forward, or the other way round, for each
  /// of the pass's exchanges with experts.
  Duration beside_other_micro_batch(Pass pass) const {
    if (!pricing_.stack.overlap_experts) return {};
    const auto exchanges = std::count_if(
        work_.exchanges.begin(), work_.exchanges.end(), [&](const Exchange& exchange) {
          return exchange.axis == Axis::expert && exchange.pass == pass;
        });
    const Duration work =
        pass == Pass::forward ? cost_.backward_input + cost_.backward_weight : cost_.forward;
    return work / exchanges;
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

  /// What goes along the sequence is put together out of the ranks' pieces, or cut into them: read and written
  /// once. In parts, what comes of a reduction is added up from all ranks' pieces.
  Duration copying(const Exchange& exchange) const {
    if (!pricing_.stack.copies_sequence || exchange.axis != Axis::tensor) return {};
    if (pricing_.tensor_ranks == 1 || exchange.kind == CollectiveKind::all_reduce) return {};
    Bytes moved = 2 * exchange.bytes;
    if (pipelined(exchange)) {
      if (exchange.kind == CollectiveKind::all_gather) return {};
      moved = exchange.bytes + Bytes{exchange.bytes.count / pricing_.tensor_ranks};
    }
    Op op = make_op({.op = "copy", .shape = {std::max<std::int64_t>(1, moved.count / 4)}});
    op.traffic = moved;
    return scaled(pricing_.costs.compute_time(op, pricing_.spec), pricing_.slowdown) +
           pricing_.costs.dispatch(pricing_.spec);
  }

  /// Selective recomputation of operations keeps what was reduced, not what was gathered.
  bool gathered_anew(const Exchange& exchange) const {
    return pricing_.recompute == Recompute::selective &&
           pricing_.stack.selective == SelectiveRecompute::operations &&
           exchange.pass == Pass::forward && exchange.axis == Axis::tensor &&
           exchange.kind == CollectiveKind::all_gather;
  }

  void add(const Exchange& exchange) {
    const bool forward = exchange.pass == Pass::forward;
    const Duration alone = exposed(exchange) + copying(exchange);
    (forward ? cost_.forward_exchange : cost_.backward_exchange) += alone;
    if (forward && work_.layers[place(exchange.layer)].recomputed) again_exchange_ += alone;
    if (gathered_anew(exchange)) cost_.recompute_exchange += alone;
  }

  const UnitWork& work_;
  const Pricing& pricing_;
  std::vector<Duration> kernels_;  ///< of all ops, in order
  std::size_t next_kernel_ = 0;
  double slower_products_ = 1;
  Duration products_{};  ///< time in them
  UnitCost cost_;
  double forward_flops_ = 0, backward_flops_ = 0;  ///< of products, in all
  double forward_done_ = 0, backward_done_ = 0;    ///< of layers so far
  Duration again_{}, again_exchange_{};  ///< of forward, what full recomputation does again
  std::vector<Duration> forward_, input_, weight_;        ///< by layer
  std::vector<Handed> handed_forward_, handed_backward_;  ///< of each pass, in order
};

}  // namespace

UnitCost price(const UnitWork& work, const Pricing& pricing) {
  UnitPricer pricer(work, pricing);
  const UnitCost cost = pricer.price(1);
  if (pricing.measured) return cost;
  const double slower = pricing.costs.product_slowdown(pricer.product_share(), pricing.spec);
  return slower == 1 ? cost : pricer.price(slower);
}

}  // namespace foreplan
