#include "sim/cluster_json.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "sim/json_text.hpp"

namespace foreplan {

using Json = nlohmann::ordered_json;

Json kernels_json(const KernelFacts& kernels) {
  Json efficiency = Json::object();
  for (const auto& [dtype, share] : kernels.matrix_efficiency) efficiency[name(dtype)] = share;
  return {{"matrix_efficiency", std::move(efficiency)},
          {"l2_bandwidth_bytes_per_s", kernels.l2_bandwidth.bytes_per_s},
          {"misaligned_efficiency", kernels.misaligned_efficiency},
          {"tile_overhead_s", json_seconds(kernels.tile_overhead)},
          {"attention_forward_efficiency", kernels.attention_forward_efficiency},
          {"attention_backward_efficiency", kernels.attention_backward_efficiency},
          {"attention_generation", kernels.attention_generation},
          {"memory_efficiency", kernels.memory_efficiency},
          {"memory_ramp_s", json_seconds(kernels.memory_ramp)},
          {"product_power", kernels.product_power},
          {"power_w", kernels.power_w},
          {"fitted_on", kernels.fitted_on}};
}

namespace {

Json device_json(const DeviceSpec& spec) {
  Json peak = Json::object();
  for (const auto& [dtype, rate] : spec.peak) peak[name(dtype)] = rate.flops_per_s;
  Json device{{"name", spec.name},
              {"memory_bytes", spec.memory.count},
              {"peak_flops_per_s", std::move(peak)},
              {"memory_bandwidth_bytes_per_s", spec.memory_bandwidth.bytes_per_s},
              {"launch_overhead_s", json_seconds(spec.launch_overhead)},
              {"concurrent_streams", spec.concurrent_streams}};
  if (spec.kernels) device["kernels"] = kernels_json(*spec.kernels);
  if (!spec.source.empty()) device["source"] = spec.source;
  return device;
}

Json vertex_json(const Cluster& cluster, const Vertex& vertex) {
  constexpr const char* kKinds[] = {"device", "switch", "host"};
  Json json{{"id", vertex.id}, {"kind", kKinds[static_cast<int>(vertex.kind)]}};
  if (vertex.kind != VertexKind::device) return json;
  json["device"] = device_json(cluster.specs()[static_cast<std::size_t>(vertex.spec)]);
  if (!vertex.processor.empty()) json["processor"] = vertex.processor;
  return json;
}

/// Both directions of a connection have ids in order.
Json link_json(const Cluster& cluster, std::size_t first) {
  const Link& link = cluster.links()[first];
  const auto id = [](std::size_t i) { return LinkId{static_cast<std::int32_t>(i)}; };
  return {{"from", cluster.vertices()[index(link.from)].id},
          {"to", cluster.vertices()[index(link.to)].id},
          {"bandwidth_bytes_per_s", link.bandwidth.bytes_per_s},
          {"latency_s", json_seconds(link.latency)},
          {"duplex", cluster.capacity_of(id(first)) != cluster.capacity_of(id(first + 1))}};
}

}  // namespace

std::string to_json(const Cluster& cluster, const std::string& source) {
  Json document{{"schema", "foreplan.cluster/1"}, {"name", cluster.name()}};
  if (!source.empty()) document["source"] = source;
  document["vertices"] = Json::array();
  for (const Vertex& vertex : cluster.vertices()) {
    document["vertices"].push_back(vertex_json(cluster, vertex));
  }
  document["links"] = Json::array();
  for (std::size_t i = 0; i + 1 < cluster.links().size(); i += 2) {
    document["links"].push_back(link_json(cluster, i));
  }
  return document_text(document);
}

}  // namespace foreplan
