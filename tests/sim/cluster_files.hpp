#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "tests/sim/temporary_file.hpp"

// Cluster files for tests, and what is made of them.

namespace foreplan {

inline nlohmann::json device_json() {
  return nlohmann::json::parse(R"({"name": "gpu", "memory_bytes": 80000000000,
    "peak_flops_per_s": {"fp32": 19.5e12, "bf16": 312e12},
    "memory_bandwidth_bytes_per_s": 2e12})");
}

/// Two nodes of four devices, two NICs each; the fabric carries half of what the NICs could.
inline nlohmann::json shorthand_json() {
  return nlohmann::json::parse(R"({"schema": "foreplan.cluster/1", "name": "pair", "nodes": [
    {"count": 2, "device": "gpu", "devices_per_node": 4,
     "intra": {"bandwidth_bytes_per_s": 300e9, "latency_s": 2e-6},
     "nics_per_node": 2, "nic": {"bandwidth_bytes_per_s": 25e9, "latency_s": 5e-6}}],
    "fabric": {"oversubscription": 2, "latency_s": 1e-6}})");
}

/// d0 - s - d1, and one half-duplex way straight from d0 to h.
inline nlohmann::json explicit_json() {
  return nlohmann::json::parse(
      R"({"schema": "foreplan.cluster/1", "name": "line", "source": "a test",
    "vertices": [{"id": "d0", "kind": "device", "device": "gpu"},
                 {"id": "s", "kind": "switch"},
                 {"id": "d1", "kind": "device", "device": "gpu"},
                 {"id": "h", "kind": "host"}],
    "links": [
      {"from": "d0", "to": "s", "bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6},
      {"from": "s", "to": "d1", "bandwidth_bytes_per_s": 2e9, "latency_s": 2e-6, "duplex": true},
      {"from": "d0", "to": "h", "bandwidth_bytes_per_s": 4e9, "latency_s": 0, "duplex": false}]})");
}

inline DeviceSpec looked_up(const std::string& name) {
  if (name != "gpu") reject("there is no device \"" + name + "\"");
  DeviceSpec spec;
  spec.name = name;
  spec.memory = 80_GB;
  return spec;
}

inline Cluster read(const nlohmann::json& cluster, const DeviceLookup& lookup = looked_up) {
  const TemporaryFile file("c.json", cluster.dump());
  return read_cluster(file.path(), lookup);
}

/// What is said about `cluster` after `change`.
template <typename Change>
std::string complaint(nlohmann::json cluster, Change change,
                      const DeviceLookup& lookup = looked_up) {
  change(cluster);
  const TemporaryFile file("c.json", cluster.dump());
  return file.complaint([&] { read_cluster(file.path(), lookup); });
}

inline Duration latency(const Cluster& cluster, int from, int to) {
  Duration sum{};
  for (const LinkId link : cluster.route(DeviceId{from}, DeviceId{to})) {
    sum += cluster.links()[index(link)].latency;
  }
  return sum;
}

inline double bandwidth(const Cluster& cluster, int from, int to) {
  double least = std::numeric_limits<double>::infinity();
  for (const LinkId link : cluster.route(DeviceId{from}, DeviceId{to})) {
    least = std::min(least, cluster.links()[index(link)].bandwidth.bytes_per_s);
  }
  return least;
}

inline std::set<LinkId> shared(const Cluster& cluster, std::pair<int, int> a,
                               std::pair<int, int> b) {
  std::set<LinkId> result;
  for (const LinkId x : cluster.route(DeviceId{a.first}, DeviceId{a.second})) {
    for (const LinkId y : cluster.route(DeviceId{b.first}, DeviceId{b.second})) {
      if (x == y) result.insert(x);
    }
  }
  return result;
}

}  // namespace foreplan
