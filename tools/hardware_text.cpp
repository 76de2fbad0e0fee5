#include "tools/hardware_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "sim/cluster_json.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kDTypes{DType::fp32, DType::tf32, DType::fp16, DType::bf16, DType::fp8};

/// "312", empty where it is 0.
std::string number(double value) { return value > 0 ? fmt::format("{:.5g}", value) : ""; }

std::string teraflops(const DeviceSpec& device, DType dtype) {
  const auto peak = device.peak.find(dtype);
  return peak == device.peak.end() ? "" : number(peak->second.flops_per_s / 1e12);
}

std::string known(Bandwidth rate) { return rate.bytes_per_s > 0 ? format(rate) : ""; }

std::string mebibytes(Bytes size) {
  return size.count > 0 ? number(static_cast<double>(size.count) / 1048576.0) + " MiB" : "";
}

/// The numbers of a device: key of its file, value.
std::vector<std::pair<std::string, std::string>> facts(const DeviceSpec& device) {
  std::vector<std::string> peaks;
  for (const DType dtype : kDTypes) {
    const std::string peak = teraflops(device, dtype);
    if (!peak.empty()) peaks.push_back(fmt::format("{} {}", name(dtype), peak));
  }
  return {{"memory_bytes", format(device.memory)},
          {"peak_flops_per_s", fmt::format("{} TFLOP/s", fmt::join(peaks, ", "))},
          {"memory_bandwidth_bytes_per_s", known(device.memory_bandwidth)},
          {"multiprocessors", number(device.multiprocessors)},
          {"l2_bytes", mebibytes(device.l2)},
          {"clock_mhz", device.clock_mhz > 0 ? number(device.clock_mhz) + " MHz" : ""},
          {"link_bandwidth_bytes_per_s", known(device.link_bandwidth)},
          {"link_efficiency", number(device.link_efficiency)},
          {"collective_setup_s",
           device.collective_setup > Duration{} ? format(device.collective_setup) : ""},
          {"switch_reduction_efficiency", number(device.switch_reduction)},
          {"collective_multiprocessors", number(device.collective_multiprocessors)},
          {"host_bandwidth_bytes_per_s", known(device.host_bandwidth)},
          {"power_w", device.power_w > 0 ? number(device.power_w) + " W" : ""},
          {"launch_overhead_s",
           device.launch_overhead > Duration{} ? format(device.launch_overhead) : ""}};
}

std::string several(const Cluster& cluster, std::string (*cell)(const Cluster&, const NodeGroup&)) {
  std::vector<std::string> cells;
  for (const NodeGroup& group : cluster.node_groups()) {
    std::string text = cell(cluster, group);
    if (cells.empty() || cells.back() != text) cells.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(cells, " + "));
}

/// "8 x a100-sxm-80gb", of each kind of device in the order of the devices.
std::string devices_of(const Cluster& cluster) {
  std::vector<int> count(cluster.specs().size(), 0);
  for (const Vertex& vertex : cluster.vertices()) {
    if (vertex.kind == VertexKind::device) ++count[static_cast<std::size_t>(vertex.spec)];
  }
  std::vector<std::string> kinds;
  for (std::size_t i = 0; i < count.size(); ++i) {
    kinds.push_back(fmt::format("{} x {}", count[i], cluster.specs()[i].name));
  }
  return fmt::format("{}", fmt::join(kinds, " + "));
}

Json link_json(const LinkFacts& link) {
  Json json{{"bandwidth_bytes_per_s", link.bandwidth.bytes_per_s},
            {"latency_s", json_seconds(link.latency)}};
  if (link.efficiency < 1) json["efficiency"] = link.efficiency;
  if (link.flow.bytes_per_s > 0) json["flow_bandwidth_bytes_per_s"] = link.flow.bytes_per_s;
  if (link.setup > Duration{}) json["setup_s"] = json_seconds(link.setup);
  if (link.switch_reduction > 0) json["switch_reduction_efficiency"] = link.switch_reduction;
  return json;
}

Json group_json(const Cluster& cluster, const NodeGroup& group) {
  Json json{{"count", group.nodes},
            {"device", cluster.specs()[static_cast<std::size_t>(group.spec)].name},
            {"devices_per_node", group.devices_per_node},
            {"devices_per_processor", group.devices_per_processor}};
  if (group.intra) json["intra"] = link_json(*group.intra);
  json["nics_per_node"] = group.nics_per_node;
  if (group.nic) json["nic"] = link_json(*group.nic);
  return json;
}

const std::string& id_of(const Cluster& cluster, VertexId vertex) {
  return cluster.vertices()[index(vertex)].id;
}

std::string describe_groups(const Cluster& cluster) {
  TextTable table({"nodes", "device", "devices a node", "device to device", "reached", "latency",
                   "setup", "NICs", "a NIC", "reached", "latency", "setup"});
  const auto rate = [](const auto& link) { return link ? format(link->bandwidth) : ""; };
  const auto reached = [](const auto& link) { return link ? format(link->achieved()) : ""; };
  const auto setup = [](const auto& link) { return link ? format(link->setup) : ""; };
  const auto latency = [](const auto& link) { return link ? format(link->latency) : ""; };
  for (const NodeGroup& group : cluster.node_groups()) {
    table.add({fmt::format("{}", group.nodes),
               cluster.specs()[static_cast<std::size_t>(group.spec)].name,
               fmt::format("{}", group.devices_per_node), rate(group.intra), reached(group.intra),
               latency(group.intra), setup(group.intra), fmt::format("{}", group.nics_per_node),
               rate(group.nic), reached(group.nic), latency(group.nic), setup(group.nic)});
  }
  return table.text() + fmt::format("\nfabric: oversubscription {:.4g}, latency {}\n",
                                    cluster.fabric().oversubscription,
                                    format(cluster.fabric().latency));
}

std::string describe_links(const Cluster& cluster) {
  TextTable table({"from", "to", "bandwidth", "latency"});
  for (std::size_t i = 0; i < cluster.links().size(); i += 2) {
    const Link& link = cluster.links()[i];
    table.add({id_of(cluster, link.from), id_of(cluster, link.to), format(link.bandwidth),
               format(link.latency)});
  }
  return table.text();
}

}  // namespace

Json device_json(const DeviceSpec& device) {
  Json json{{"name", device.name}, {"memory_bytes", device.memory.count}};
  for (const auto& [dtype, peak] : device.peak) {
    json["peak_flops_per_s"][std::string(name(dtype))] = peak.flops_per_s;
  }
  json["memory_bandwidth_bytes_per_s"] = device.memory_bandwidth.bytes_per_s;
  if (device.multiprocessors > 0) json["multiprocessors"] = device.multiprocessors;
  if (device.l2.count > 0) json["l2_bytes"] = device.l2.count;
  if (device.clock_mhz > 0) json["clock_mhz"] = device.clock_mhz;
  json["link_bandwidth_bytes_per_s"] = device.link_bandwidth.bytes_per_s;
  if (device.link_efficiency > 0) json["link_efficiency"] = device.link_efficiency;
  if (device.collective_setup > Duration{}) {
    json["collective_setup_s"] = json_seconds(device.collective_setup);
  }
  if (device.switch_reduction > 0) json["switch_reduction_efficiency"] = device.switch_reduction;
  if (device.collective_multiprocessors > 0) {
    json["collective_multiprocessors"] = device.collective_multiprocessors;
  }
  if (device.host_bandwidth.bytes_per_s > 0) {
    json["host_bandwidth_bytes_per_s"] = device.host_bandwidth.bytes_per_s;
  }
  if (device.power_w > 0) json["power_w"] = device.power_w;
  json["launch_overhead_s"] = json_seconds(device.launch_overhead);
  if (device.kernels) json["kernels"] = kernels_json(*device.kernels);
  json["concurrent_streams"] = device.concurrent_streams;
  json["source"] = device.source;
  if (!device.sources.empty()) json["sources"] = device.sources;
  return json;
}

Json cluster_json(const Cluster& cluster) {
  Json json{{"name", cluster.name()},
            {"nodes", cluster.nodes()},
            {"devices", cluster.devices()},
            {"processors", cluster.processors()},
            {"source", cluster.source()}};
  if (!cluster.node_groups().empty()) {
    json["node_groups"] = Json::array();
    for (const NodeGroup& group : cluster.node_groups()) {
      json["node_groups"].push_back(group_json(cluster, group));
    }
    json["fabric"] = {{"oversubscription", cluster.fabric().oversubscription},
                      {"latency_s", json_seconds(cluster.fabric().latency)}};
    return json;
  }
  json["links"] = Json::array();
  for (std::size_t i = 0; i < cluster.links().size(); i += 2) {
    const Link& link = cluster.links()[i];
    json["links"].push_back({{"from", id_of(cluster, link.from)},
                             {"to", id_of(cluster, link.to)},
                             {"bandwidth_bytes_per_s", link.bandwidth.bytes_per_s},
                             {"latency_s", json_seconds(link.latency)}});
  }
  return json;
}

DeviceTableText::DeviceTableText()
    : table_({"device", "fp32", "tf32", "fp16", "bf16", "fp8", "memory", "bandwidth", "SMs", "L2",
              "MHz", "links", "host", "W", "launch", "source"}) {}

void DeviceTableText::add(const DeviceSpec& device, std::size_t most) {
  std::vector<std::string> cells{device.name};
  for (const DType dtype : kDTypes) cells.push_back(teraflops(device, dtype));
  for (const std::string& cell :
       {format(device.memory), known(device.memory_bandwidth), number(device.multiprocessors),
        mebibytes(device.l2), number(device.clock_mhz), known(device.link_bandwidth),
        known(device.host_bandwidth), number(device.power_w),
        device.launch_overhead > Duration{} ? format(device.launch_overhead) : std::string(),
        printable(device.source, most)}) {
    cells.push_back(cell);
  }
  table_.add(std::move(cells));
}

ClusterTableText::ClusterTableText()
    : table_({"cluster", "nodes", "devices", "device to device", "NICs a node", "a NIC",
              "oversubscription", "source"}) {}

void ClusterTableText::add(const Cluster& cluster, std::size_t most) {
  const bool in_full = cluster.node_groups().empty();
  const auto intra = [](const Cluster&, const NodeGroup& group) {
    return group.intra ? format(group.intra->bandwidth) : std::string();
  };
  const auto nics = [](const Cluster&, const NodeGroup& group) {
    return group.nic ? fmt::format("{}", group.nics_per_node) : std::string();
  };
  const auto nic = [](const Cluster&, const NodeGroup& group) {
    return group.nic ? format(group.nic->bandwidth) : std::string();
  };
  table_.add({cluster.name(), fmt::format("{}", cluster.nodes()), devices_of(cluster),
              in_full ? "link by link" : several(cluster, intra), several(cluster, nics),
              several(cluster, nic), in_full ? "" : number(cluster.fabric().oversubscription),
              printable(cluster.source(), most)});
}

std::string describe(const DeviceSpec& device) {
  std::string text = fmt::format("{}: a device\n\n", device.name);
  TextTable table({"what", "value", "source"});
  for (const auto& [key, value] : facts(device)) {
    if (value.empty() && !device.sources.contains(key)) continue;
    const auto source = device.sources.find(key);
    table.add({key, value, source == device.sources.end() ? device.source : source->second});
  }
  return text + table.text();
}

std::string describe(const Cluster& cluster) {
  const std::string text =
      fmt::format("{}: a cluster of {} node{}, {}\n{}\n\n", cluster.name(), cluster.nodes(),
                  cluster.nodes() == 1 ? "" : "s", devices_of(cluster), cluster.source());
  return text +
         (cluster.node_groups().empty() ? describe_links(cluster) : describe_groups(cluster));
}

}  // namespace foreplan
