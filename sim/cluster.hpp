#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/op.hpp"
#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// What the kernels of well-kept libraries reach on a device: constants with a meaning, fitted on measurements
/// that `fitted_on` names.
struct KernelFacts {
  std::map<DType, double>
      matrix_efficiency{};           ///< of the peak, what large products reach at full clock
  Bandwidth l2_bandwidth{};          ///< from the last shared cache to all multiprocessors
  double misaligned_efficiency = 1;  ///< of it, of products whose rows do not begin on 16 bytes
  Duration tile_overhead{};          ///< of a wave of tiles, beside its products: fill and epilogue
  /// Fused attention: of the rate at which its products and then its exponentials would run at best.
  double attention_forward_efficiency = 1;
  double attention_backward_efficiency = 1;
  int attention_generation = 2;  ///< of FlashAttention, whose kernels were measured
  double memory_efficiency = 1;  ///< of the bandwidth as sold
  Duration memory_ramp{};        ///< of a memory-bound kernel, beside moving its bytes
  double product_power =
      0;  ///< dynamic power of products at full clock over what the limit leaves; 0: never too much
  double power_w = 0;       ///< limit of the devices that were measured [W]
  std::string fitted_on{};  ///< rows, date, residual
};

/// One kind of device, as its data sheet or a measurement tells it. What is 0 is not known or, for
/// links, not there.
struct DeviceSpec {
  std::string name;
  Bytes memory{};                    ///< what its driver offers to processes
  std::map<DType, FlopRate> peak{};  ///< dense, no sparsity
  Bandwidth memory_bandwidth{};
  std::int32_t multiprocessors = 0;  ///< streaming multiprocessors or compute units
  Bytes l2{};                        ///< last cache before memory that all multiprocessors share
  double clock_mhz = 0;              ///< highest clock of the multiprocessors [MHz]
  Bandwidth link_bandwidth{};        ///< links of its own to other devices, together, one direction
  double link_efficiency = 0;        ///< LinkFacts::efficiency of these links; 0: nobody measured
  Duration collective_setup{};       ///< LinkFacts::setup over these links
  double switch_reduction = 0;       ///< LinkFacts::switch_reduction where a switch joins them
  /// That a library's collective holds while it runs; 0: not told, it slows no compute down.
  std::int32_t collective_multiprocessors = 0;
  Bandwidth host_bandwidth{};  ///< to the host's memory, one direction
  double power_w = 0;          ///< limit of the device as it is sold [W]
  Duration launch_overhead{};  ///< between one task of a stream and the next
  /// Whether copies and collectives run beside compute. A host thread does everything itself.
  bool concurrent_streams = true;
  std::optional<KernelFacts> kernels{};          ///< empty: nobody measured
  std::string source{};                          ///< of all numbers but those in `sources`
  std::map<std::string, std::string> sources{};  ///< by key of the device file
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
  std::int32_t node = 0;  ///< of a device: the machine that it sits in, counted from 0
  bool forwards = true;   ///< whether a route may lead through it
};

/// One direction of a connection.
struct Link {
  VertexId from{}, to{};
  Bandwidth bandwidth{};
  Duration latency{};
};

/// A connection as it is sold and as a communication library uses it, one direction.
struct LinkFacts {
  Bandwidth bandwidth{};  ///< as sold [B/s]
  Duration latency{};     ///< of a step [s]
  double efficiency = 1;  ///< share of `bandwidth` that messages reach, in (0, 1]
  /// What a library's collective takes on the device before its first step; 0: not told, collectives are
  /// foreplan's own.
  Duration setup{};
  /// What a single message or ring reaches, where that is less, for its protocol is what limits it; 0: all of
  /// the above. Known to closed forms; simulated links have what all of their flows reach together.
  Bandwidth flow{};
  /// Share of `bandwidth` at which switches add up what passes them (NVLink SHARP); 0: they do not.
  double switch_reduction = 0;

  Bandwidth achieved() const { return {bandwidth.bytes_per_s * efficiency}; }
};

/// So many equal nodes of a cluster that is given in shorthand: what closed forms need.
struct NodeGroup {
  int nodes = 0;
  std::int32_t spec = -1;  ///< of all its devices: into Cluster::specs()
  int devices_per_node = 0;
  int devices_per_processor = 1;
  std::optional<LinkFacts> intra{};  ///< from device to device of a node; nodes of one device: none
  int nics_per_node = 1;
  std::optional<LinkFacts> nic{};  ///< from a node to the fabric
};

/// What joins the nodes of a cluster that is given in shorthand.
struct Fabric {
  double oversubscription = 1;  ///< what a node's NICs carry over what the fabric takes from it
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

  /// What a cluster is made of. `node_groups` and `fabric` repeat what vertices and links say, in
  /// short, and are empty where it cannot be said in short.
  struct Parts {
    std::vector<DeviceSpec> specs{};
    std::vector<Vertex> vertices{};
    std::vector<LinkSpec> links{};
    std::vector<NodeGroup> node_groups{};
    Fabric fabric{};
    std::string source{};  ///< where its numbers come from
  };

  /// O(vertices + links); routes are searched when they are asked for.
  /// @throws Error(invalid_argument) if there is no device, an end does not exist, a bandwidth is
  ///   not positive and finite, or a latency is negative
  Cluster(std::string name, Parts parts);
  Cluster(std::string name, std::vector<DeviceSpec> specs, std::vector<Vertex> vertices,
          std::vector<LinkSpec> links);

  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }
  int devices() const { return static_cast<int>(device_vertices_.size()); }
  const DeviceSpec& device(DeviceId id) const;
  const std::vector<DeviceSpec>& specs() const { return specs_; }
  const std::vector<Vertex>& vertices() const { return vertices_; }
  int nodes() const { return nodes_; }
  /// The node of a device, counted from 0. A cluster that names no nodes is one.
  int node_of(DeviceId id) const { return vertices_[index(vertex_of(id))].node; }
  /// Of a cluster given in shorthand, in its order; empty for one given in full.
  const std::vector<NodeGroup>& node_groups() const { return node_groups_; }
  /// Of a cluster given in shorthand.
  const Fabric& fabric() const { return fabric_; }
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
  /// then least latency, then lowest link ids, compared in order from the source. It leads through
  /// no vertex that does not forward. Searched from both ends, so that it costs what lies around
  /// them, not the whole cluster.
  /// @throws Error(invalid_argument) naming both devices if there is no way
  std::vector<LinkId> route(DeviceId source, DeviceId destination) const;

 private:
  void name_processors();
  void add_links(const std::vector<LinkSpec>& specs);

  std::string name_;
  std::string source_;
  std::vector<DeviceSpec> specs_;
  std::vector<Vertex> vertices_;
  std::vector<VertexId> device_vertices_;
  std::vector<std::int32_t> processor_;  ///< by device
  int processors_ = 0;
  std::vector<NodeGroup> node_groups_;
  Fabric fabric_;
  int nodes_ = 0;
  std::vector<Link> links_;
  std::vector<std::int32_t> capacity_;
  int capacities_ = 0;
  std::vector<std::int32_t> first_link_;  ///< by vertex, and one more: into leaving_
  std::vector<LinkId> leaving_;           ///< links by the vertex that they leave, ids ascending
};

}  // namespace foreplan
