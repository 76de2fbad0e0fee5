#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/cluster_io.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {

/// Turns the `device` of a cluster file, a name or an object with a device file's keys, into a place
/// in Cluster::Parts::specs; equal ones share it.
class DeviceTable {
 public:
  DeviceTable(Cluster::Parts& parts, const DeviceLookup& lookup) : parts_(parts), lookup_(lookup) {}

  /// @throws Error(invalid_argument) naming file and place
  std::int32_t spec(const JsonValue& value);

 private:
  Cluster::Parts& parts_;
  const DeviceLookup& lookup_;
  std::map<std::string, std::int32_t> known_;  ///< by name or object, as JSON
};

/// Reads the keys of a device, in a file of its own or inside a cluster, and refuses others.
DeviceSpec read_device_keys(JsonObject& object);

/// Reads `bandwidth_bytes_per_s` and `latency_s` of an object that may have more keys.
Cluster::LinkSpec read_link(JsonObject& object);

/// Reads the shorthand, keys `nodes` and `fabric`, and fills all of `parts`.
///
/// Vertices: `fabric` where there are several nodes; node by node its devices, its switch, and
/// where it has several NICs one switch a NIC, to which its block of devices is joined.
///
///     device -- intra -- switch -- nic -- fabric           nics_per_node 1
///     device -- intra -- block b -- nic -- fabric          otherwise; block b -- switch carries
///                                                          the block's devices at full rate
///
/// With an oversubscription o > 1 the NICs of a node end at a leaf of its own, joined to the fabric
/// by a link of all its NICs' bandwidth over o.
/// @param nodes  how many nodes instead of the file's own number; 0: that one. Only for a cluster
///   whose nodes are all alike
void read_shorthand(JsonObject& root, int nodes, Cluster::Parts& parts, DeviceTable& devices);

}  // namespace foreplan
