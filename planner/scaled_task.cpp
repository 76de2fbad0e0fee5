#include "planner/scaled_task.hpp"

#include <fmt/format.h>

#include <cmath>

#include "sim/error.hpp"

namespace foreplan {
namespace {

Duration shorter(Duration duration, double factor) {
  return Duration(
      static_cast<std::int64_t>(std::llround(static_cast<double>(duration.count()) / factor)));
}

/// The costs of devices whose ops run faster, and of measured copies over wider links.
class ScaledCosts final : public CostModel {
 public:
  ScaledCosts(const CostModel& costs, const Scaling& scaling) : costs_(costs), scaling_(scaling) {}

  Duration compute_time(const Op& op, const DeviceSpec& spec) const override {
    const Duration time = costs_.compute_time(op, spec);
    return scaling_.compute == 1 ? time : shorter(time, scaling_.compute);
  }
  std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                    DeviceId destination) const override {
    const std::optional<Duration> time = costs_.copy_time(size, source, destination);
    if (!time || scaling_.bandwidth == 1) return time;
    return shorter(*time, scaling_.bandwidth);
  }
  std::optional<Duration> collective_time(CollectiveKind kind, int ranks,
                                          Bytes size) const override {
    const std::optional<Duration> time = costs_.collective_time(kind, ranks, size);
    if (!time || scaling_.bandwidth == 1) return time;
    return shorter(*time, scaling_.bandwidth);
  }
  std::optional<LayerTimes> layer_times(const LayerKey& key) const override {
    std::optional<LayerTimes> times = costs_.layer_times(key);
    if (!times || scaling_.compute == 1) return times;
    for (Duration* time : {&times->forward, &times->backward, &times->update}) {
      *time = shorter(*time, scaling_.compute);
    }
    return times;
  }
  Duration dispatch(const DeviceSpec& spec) const override { return costs_.dispatch(spec); }
  Duration handover() const override { return costs_.handover(); }
  IssueCost issue() const override { return costs_.issue(); }
  double product_slowdown(double share, const DeviceSpec& spec) const override {
    return costs_.product_slowdown(share, spec);
  }
  double launches(const Op& op) const override { return costs_.launches(op); }
  Demand demand(const Op& op, const DeviceSpec& spec, Duration time) const override {
    return costs_.demand(op, spec, time);
  }
  Overlap overlap(const DeviceSpec& spec) const override { return costs_.overlap(spec); }
  bool knows_demand() const override { return costs_.knows_demand(); }

 private:
  const CostModel& costs_;
  Scaling scaling_;
};

void check(const Scaling& scaling) {
  for (const double factor : {scaling.bandwidth, scaling.memory, scaling.compute}) {
    if (std::isfinite(factor) && factor > 0) continue;
    reject(fmt::format("scaling: expected a factor > 0, got {}", factor));
  }
}

Bandwidth wider(Bandwidth bandwidth, double factor) { return {bandwidth.bytes_per_s * factor}; }

void widen(std::optional<LinkFacts>& facts, double factor) {
  if (facts) facts->bandwidth = wider(facts->bandwidth, factor);
}

/// Both directions of a connection stand side by side.
std::vector<Cluster::LinkSpec> links_of(const Cluster& cluster, double factor) {
  std::vector<Cluster::LinkSpec> links;
  for (std::size_t i = 0; i < cluster.links().size(); i += 2) {
    const Link& link = cluster.links()[i];
    const LinkId there{static_cast<std::int32_t>(i)}, back{static_cast<std::int32_t>(i) + 1};
    links.push_back({.a = link.from,
                     .b = link.to,
                     .bandwidth = wider(link.bandwidth, factor),
                     .latency = link.latency,
                     .duplex = cluster.capacity_of(there) != cluster.capacity_of(back)});
  }
  return links;
}

}  // namespace

Cluster scaled(const Cluster& cluster, const Scaling& scaling) {
  check(scaling);
  Cluster::Parts parts{.specs = cluster.specs(),
                       .vertices = cluster.vertices(),
                       .links = links_of(cluster, scaling.bandwidth),
                       .node_groups = cluster.node_groups(),
                       .fabric = cluster.fabric(),
                       .source = cluster.source()};
  for (DeviceSpec& spec : parts.specs) {
    const double memory = static_cast<double>(spec.memory.count) * scaling.memory;
    spec.memory = Bytes{static_cast<std::int64_t>(memory)};
    spec.host_bandwidth = wider(spec.host_bandwidth, scaling.bandwidth);
    spec.link_bandwidth = wider(spec.link_bandwidth, scaling.bandwidth);
  }
  for (NodeGroup& group : parts.node_groups) {
    widen(group.intra, scaling.bandwidth);
    widen(group.nic, scaling.bandwidth);
  }
  return {cluster.name(), std::move(parts)};
}

ScaledTask::ScaledTask(const Task& task, const Scaling& scaling)
    : cluster_(scaled(task.cluster, scaling)),
      costs_(std::make_unique<ScaledCosts>(task.costs, scaling)),
      task_{.model = task.model,
            .cluster = cluster_,
            .costs = *costs_,
            .global_batch = task.global_batch,
            .optimizer = task.optimizer,
            .lengths = task.lengths,
            .precision = task.precision,
            .products = task.products,
            .stack = task.stack,
            .collectives = task.collectives,
            .slow = task.slow} {}

}  // namespace foreplan
