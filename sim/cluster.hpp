#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/op.hpp"
#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// One kind of device, as its data sheet or a measurement tells it.
struct DeviceSpec {
  std::string name;
  Bytes memory{};                    ///< what a training process may use
  std::map<DType, FlopRate> peak{};  ///< dense, no sparsity
  Bandwidth memory_bandwidth{};
  Duration launch_overhead{};  ///< between one task of a stream and the next
  /// Whether copies and collectives run beside compute. A host thread does everything itself.
  bool concurrent_streams = true;
  std::string source{};
};

enum class VertexId : std::int32_t {};
enum class LinkId : std::int32_t {};
enum class VertexKind : std::uint8_t { device, network_switch, host };

struct Vertex {
  std::string id;
  VertexKind kind{};
  std::int32_t spec = -1;  ///< of a device: into Cluster::specs()
  /// Of a device: the processor that it runs on. Logical devices share one; empty: one of its own.
  std::string processor{};
};

/// One direction of a connection.
struct Link {
  VertexId from{}, to{};
  Bandwidth bandwidth{};
  Duration latency{};
};

/// Devices and the network between them.
///
/// Devices count from 0 in the order in which the cluster lists them. Both directions of a duplex
/// link are links of their own that share nothing; a half-duplex link is one capacity for both
/// (`capacity_of`).
class Cluster {
 public:
  /// A connection of two vertices. It becomes two links, a to b and then b to a, with ids in order.
  struct LinkSpec {
    VertexId a{}, b{};
    Bandwidth bandwidth{};
    Duration latency{};
    bool duplex = true;
  };

  /// @throws Error(invalid_argument) if there is no device, an end does not exist, a bandwidth is
  ///   not positive and finite, or a latency is negative
  Cluster(std::string name, std::vector<DeviceSpec> specs, std::vector<Vertex> vertices,
          std::vector<LinkSpec> links);

  const std::string& name() const { return name_; }
  int devices() const { return static_cast<int>(device_vertices_.size()); }
  const DeviceSpec& device(DeviceId id) const;
  const std::vector<DeviceSpec>& specs() const { return specs_; }
  const std::vector<Vertex>& vertices() const { return vertices_; }
  /// The processor of a device; they count from 0 in the order of their first devices.
  std::int32_t processor_of(DeviceId id) const { return processor_[index(id)]; }
  int processors() const { return processors_; }
  /// Whether some devices are logical: share a processor with others.
  bool shares_processors() const { return processors_ < devices(); }
  VertexId vertex_of(DeviceId id) const { return device_vertices_[index(id)]; }
  const std::vector<Link>& links() const { return links_; }
  /// The index of the capacity that a link draws on: shared by both directions of a half-duplex
  /// link, its own otherwise.
  std::int32_t capacity_of(LinkId link) const { return capacity_[index(link)]; }
  int capacities() const { return capacities_; }

  /// The links from one device to another, in order; empty from a device to itself. Fewest hops,
  /// then least latency, then lowest link ids, compared in order from the source.
  /// @throws Error(invalid_argument) naming both devices if there is no way
  std::vector<LinkId> route(DeviceId source, DeviceId destination) const;

 private:
  void name_processors();

  std::string name_;
  std::vector<DeviceSpec> specs_;
  std::vector<Vertex> vertices_;
  std::vector<VertexId> device_vertices_;
  std::vector<std::int32_t> processor_;  ///< by device
  int processors_ = 0;
  std::vector<Link> links_;
  std::vector<std::int32_t> capacity_;
  int capacities_ = 0;
  struct Network;
  std::shared_ptr<const Network> network_;  ///< never changes; copies of a cluster share it
};

}  // namespace foreplan
