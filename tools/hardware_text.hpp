#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/cluster.hpp"
#include "tools/text_table.hpp"

namespace foreplan {

/// A device with the keys of its file, what is not known left out.
nlohmann::ordered_json device_json(const DeviceSpec& device);
/// A cluster: counts, node types and fabric; of one given in full its links, one direction each.
nlohmann::ordered_json cluster_json(const Cluster& cluster);

/// Devices as a table: a row each, peaks [TFLOP/s], what is not known left empty.
class DeviceTableText {
 public:
  DeviceTableText();
  /// @param most  characters of its source
  void add(const DeviceSpec& device, std::size_t most);
  const TextTable& table() const { return table_; }

 private:
  TextTable table_;
};

/// Clusters as a table: a row each.
class ClusterTableText {
 public:
  ClusterTableText();
  /// @param most  characters of its source
  void add(const Cluster& cluster, std::size_t most);
  const TextTable& table() const { return table_; }

 private:
  TextTable table_;
};

/// One device for people: each number with its source.
std::string describe(const DeviceSpec& device);
/// One cluster for people: its node types, or its links where it is given in full.
std::string describe(const Cluster& cluster);

}  // namespace foreplan
