#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "sim/cluster.hpp"

namespace foreplan {

class JsonValue;

/// Reads a `foreplan.device/1` file: `name`, `memory_bytes`, `peak_flops_per_s{fp32, bf16, ...}`,
/// `memory_bandwidth_bytes_per_s`, and what may be left out (docs/formats.md has the table).
/// @throws Error(invalid_argument) naming file and place
DeviceSpec read_device(const std::filesystem::path& path);

/// How a cluster file's `"device": "a100-sxm-80gb"` becomes a DeviceSpec; throws if unknown.
using DeviceLookup = std::function<DeviceSpec(const std::string& name)>;

/// Reads a `foreplan.cluster/1` file in either form: shorthand (`nodes`, `fabric`) or explicit
/// (`vertices`, `links`). docs/formats.md tells the keys, docs/schema/ has the JSON Schema.
/// A shorthand node: its devices in a star around an intra-node switch (each device's up-link and
/// down-link carry `intra.bandwidth_bytes_per_s`, half of `intra.latency_s` each), `nics_per_node`
/// links of `nic` from the node to the fabric switch (devices are dealt to NICs in blocks), the
/// fabric's core divided by `oversubscription` (sim/cluster_parts.hpp draws it). One device to
/// another of its node: intra.latency_s; of another node: intra.latency_s + 2 nic.latency_s +
/// fabric.latency_s.
/// @param nodes  so many nodes instead of the file's own number, and "x<nodes>" behind its name; 0: as
///   the file has it. Only for a shorthand of one kind of node
/// @throws Error(invalid_argument) naming file and place
Cluster read_cluster(const std::filesystem::path& path, const DeviceLookup& devices, int nodes = 0);

/// The cluster that the shorthand of one kind of node describes; `node.spec` is unread.
/// @throws Error(invalid_argument) if several nodes have no NIC, or as Cluster's constructor does
Cluster make_cluster(std::string name, const DeviceSpec& device, const NodeGroup& node,
                     const Fabric& fabric);

}  // namespace foreplan
