#pragma once

#include "sim/group_placement.hpp"
#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Time of a collective as a communication library such as NCCL runs it, in closed form.
///
/// A library's kernel keeps several chunks under way, so that of the steps of a ring only the first
/// chunk's latency is paid, hop by hop, and the wire is busy from then on: unlike the rounds of
/// sim/collective.hpp, each of which ends before the next begins. With n = g N ranks, S bytes, alpha1,
/// alpha2 the latencies inside nodes and across, c = min(g, nics) rings,
///
///   B1 = intra / link_sharing        B2(f) as sim/collective_cost.hpp
///   W  = min(B1, c B2(c))            what a node's border carries for the group; one node: B1
///
///   reduce_scatter, all_gather   setup + (n-N) alpha1 + (N-1) alpha2 + (n-1)/n S / W
///   all_reduce, least of
///     ring                       setup + 2 ((n-N) alpha1 + (N-1) alpha2) + 2 (n-1)/n S / W
///     tree, N > 1                setup + 2 ((g-1) alpha1 + lg N alpha2) + 2 S / (kTree W)
///     switch, n = g              setup + 2 alpha1 + (1 + 1/g) S / Bs
///     switch and tree            setup + 2 (alpha1 + lg N alpha2) + max((1 + 1/g) S / Bs, 2 S / (kTree W))
///   all_to_all                   setup + alpha + max((g-1)/n S / B1, (n-g)/n S / B2(g))
///   broadcast, reduce            setup + (n-N) alpha1 + (N-1) alpha2 + S / W
///   gather, scatter              setup + alpha + (n-1)/n S / min(B1, B2(1))
///
/// alpha and setup are those of the hop across where N > 1, else of the hop inside. An all_to_all's messages leave at once. Bs is
/// `switch_reduction`: each device sends S and gets S/g, then the other way round. kTree = 0.92, the share
/// that NCCL's tree reaches of its ring.
///
/// @param size  S, the whole buffer [B] (Collective::bytes)
/// @return      until the last rank is done; 0 for one rank
/// @throws Error(invalid_argument) if size < 0 or a needed bandwidth is not positive
///
/// Assumes full-duplex links and ranks that begin together. Of a library's protocols the one for large
/// messages is meant: alpha and setup are its own.
/// Source: NVIDIA/nccl at b6475625, src/graph/tuning.cc (steps, latencies, the tree's share); Klenk et al., An
/// In-Network Architecture for Accelerating Shared-Memory Multiprocessor Collectives, ISCA 2020 (switch).
Duration library_time(CollectiveKind kind, Bytes size, const GroupPlacement& placement);

/// Time of an all_to_all that sends a row to each node once, whose rank there hands it on, as DeepEP and
/// hierarchical dispatchers do: with k copies of each row among S, its experts drawn at random,
///
///   setup + alpha1 + alpha2 + max((g-1)/g S / B1, u (n-g)/n S / B2(g)),   u = N (1 - (1 - 1/N)^k) / k
///
/// u being the number of nodes that a row's k experts lie on, over k. One node: as library_time.
/// @param copies  k >= 1
/// @throws Error(invalid_argument) as library_time, and if copies < 1
/// Source: deepseek-ai/DeepEP, README (normal kernels: NVLink after RDMA); DeepSeek-V3, arXiv:2412.19437, section 3.2.2.
Duration library_dispatch_time(Bytes size, int copies, const GroupPlacement& placement);

/// Whether the links of a placement are told as a library uses them: with a setup.
bool has_library(const GroupPlacement& placement);

}  // namespace foreplan
