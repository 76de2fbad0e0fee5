#pragma once

#include <span>

#include "sim/cluster.hpp"
#include "sim/collective.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// A way from one device to another: a message of S bytes takes
///
///   t = setup + alpha + (S + S_half) / B
///
/// so that it moves at B S / (S + S_half) once it has begun, at half of B where S = S_half.
struct Hop {
  Duration latency{};   ///< alpha [s]
  Bandwidth bandwidth;  ///< B [B/s], reached by endless messages
  Bytes half_size{};    ///< S_half [B]
  /// What a communication library takes on the device before a collective's or a message's first byte
  /// moves: its kernel starts and the ranks find each other [s]; 0: there is no library.
  Duration setup{};
  friend bool operator==(const Hop&, const Hop&) = default;
};

/// Where a group lies and what its messages meet, as sim/collective_cost.hpp needs it: g ranks on each
/// of N nodes, group order node by node.
struct GroupPlacement {
  GroupGrid grid{};
  Hop intra{};  ///< between devices of one node; unused where g = 1
  Hop inter{};  ///< between devices of two nodes, as a flow that is alone meets it; unused where N = 1
  /// NICs of a node that the group's ranks reach, evenly dealt to them.
  int nics = 1;
  Bandwidth nic{};         ///< of each of them, each way [B/s]; 0: `inter` is all there is
  int nic_sharing = 1;     ///< groups that send as this one does over each of these NICs at once
  Bandwidth uplink{};      ///< what a node gets into the fabric [B/s]; 0: as much as its NICs
  int uplink_sharing = 1;  ///< groups that send as this one does out of the node at once
  int link_sharing = 1;    ///< of each device's own link, by other collectives of its own
  /// At which the switch inside a node adds up what its devices send, of each device's link, each way
  /// [B/s]; 0: it does not.
  Bandwidth switch_reduction{};
  friend bool operator==(const GroupPlacement&, const GroupPlacement&) = default;
};

/// Nodes that are all alike: the shorthand of a cluster.
struct NodeFacts {
  int devices = 1;  ///< G, of a node
  Hop intra{};      ///< between two of them
  int nics = 1;     ///< devices are dealt to them in blocks
  /// Latency between devices of two nodes; bandwidth of a message that is alone.
  Hop inter{};
  double oversubscription = 1;   ///< what the NICs carry together over what the fabric takes
  Bandwidth switch_reduction{};  ///< GroupPlacement::switch_reduction
  Bandwidth nic{};               ///< of one NIC; 0: as much as a message that is alone reaches
};

/// Every group of one kind of parallelism: `size` devices, `stride` apart. They lie beside each other
/// (group j begins at device j mod stride + j / stride * size * stride) and run at once.
struct GroupShape {
  int size = 1;
  int stride = 1;
};

/// The placement of each group of `shape` while all of them communicate.
///
/// With b = G / nics devices behind the fullest NIC and s the stride: a NIC carries min(s, b) groups,
/// the node min(s, G). Where groups do not fill their nodes evenly (G and `stride` do not divide one
/// another, or a node's part not the size) each rank counts as one on a node of its own whose devices
/// all send at once, which overstates.
/// @throws Error(invalid_argument) if a number is not positive, or there are more NICs than devices
GroupPlacement placement_of(const NodeFacts& nodes, const GroupShape& shape);

/// The same of groups of which each node holds `grid.ranks_per_node` ranks, evenly dealt to its NICs, and so
/// G / ranks_per_node groups.
/// @throws Error(invalid_argument) also if groups do not fill a node
GroupPlacement placement_of(const NodeFacts& nodes, const GroupGrid& grid);

/// The placement of one group that nothing competes with, found from the routes between its devices.
///
/// The first ranks that are equally far from rank 0 are a node; where the group is not made of such
/// nodes of one size, it is one level with the slowest hop between neighbours. NICs: the capacity that
/// the flows from each rank of one node to its like of the next share the worst.
/// @throws Error(invalid_argument) if there is no such device or no route
GroupPlacement placement_of(const Cluster& cluster, std::span<const DeviceId> group);

}  // namespace foreplan
