#pragma once

#include <span>

#include "sim/collective.hpp"
#include "sim/group_placement.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Time of one message of `size` that has `hop` to itself.
///
///   t = setup + alpha + (S + S_half) / B
///
/// @param size  S >= 0 [B]
/// @throws Error(invalid_argument) if size < 0, the bandwidth is not positive or the time is out of
///   range
Duration point_to_point_time(Bytes size, const Hop& hop);

/// B2'(flows) below: what each of `flows` messages that leave a node at once gets [B/s]; 0 stands for no limit
/// in `nic` and `uplink`.
double across_bandwidth(const GroupPlacement& placement, int flows);

/// Time of a collective in closed form: what the tasks of `expand_collective` take while `placement`
/// tells all that competes, adds not counted.
///
/// With n = g N ranks, S bytes, lg the logarithm to base 2 (of a tree: rounded up), and per message of
/// X bytes on the level i (1 inside nodes, 2 across, f flows leaving each node at once)
///
///   t1(X) = alpha1 + (X + half1) / B1'             B1' = B1 / link_sharing
///   t2(X, f) = alpha2 + (X + half2) / B2'(f)
///   B2'(f) = min(B2, nic / (nic_sharing ceil(f / nics)), uplink / (uplink_sharing f))
///
///   ring half            (n-1) max(t1(S/(n c)), t2(S/(n c), c)), c channels, B1' divided by c too
///   direct half          (g-1) t1(S/n) + g (N-1) t2(S/n, g); also all_to_all
///   doubling half        lg g alpha1 + (g-1) S/n / B1' + lg N alpha2 + (n-g) S/n / B2'(g),
///                        alpha with half / B
///   all_reduce           ring, direct, halving_doubling: two halves
///     tree               2 lg g t1(S) + 2 lg N t2(S, 1)
///     recursive_doubling lg g t1(S) + lg N t2(S, g)
///     fold               2 t(S) more where n is no power of two (one level)
///     double_tree        (one level, k chunks, c = S/(2k), t' of half the bandwidth)
///                        odd n: 2 (h+k-1) t'(c);  even n: 2 (h+k-1) t'(c) + 2 t(c);  n = 2: 2k t(c)
///                        h = lg of the tree's leaves, (n+1)/2 of them for odd n, n/2 for even
///     hierarchical       2 (g-1) t1(S/g) + all_reduce of S/g among N with t2(., g)
///   broadcast, reduce
///     ring               N (g-1) t1(S/k) + (N-1) t2(S/k, 1) + (k-1) max of both;
///                        one level: (n-2+k) t(S/k)
///     tree               lg g t1(S) + lg N t2(S, 1)
///     direct broadcast   max(alpha1 + (n-1) S / B1', alpha2 + (n-g) S / B2'(1))
///     direct reduce      (g-1) t1(S) + (n-g) t2(S, 1)
///   gather, scatter      direct: as reduce and broadcast with S/n;
///                        tree (one level): lg n alpha + (n-1)/n S / B
///
/// @param size       S, the whole buffer [B] (Collective::bytes)
/// @param tuning     `chunks` 0: `best_chunks`
/// @return           until the last rank is done; 0 for one rank
/// @throws Error(invalid_argument) if size < 0, a needed bandwidth is not positive, the time is out of
///   range, or what `collective_refusal` tells
///
/// Assumes full-duplex links, ranks that begin together, the reduction hidden, chunks cut evenly, and on
/// two levels with several channels a NIC that is no faster than a channel's share of a device's link.
/// Sources: as expand_collective; Thakur, Rabenseifner and Gropp, Int. J. High Perform. Comput. Appl.
/// 19(1), 2005 for the costs; Hockney, Parallel Computing 20(3), 1994 for S_half.
Duration collective_time(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                         const GroupPlacement& placement, const CollectiveTuning& tuning = {});

/// The number of chunks for which a ring broadcast or reduce, or a double_tree, takes least.
///
/// From d/dk of the formulas above: k = sqrt((sum of beta over hops - beta) S / alpha), for
/// double_tree sqrt((h - 1 + (n even)/2) beta S / alpha), down or up to whole chunks, whichever takes
/// less, of at least 4 bytes, at most kMostCollectiveChunks. 1 for all others.
int best_chunks(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                const GroupPlacement& placement, const CollectiveTuning& tuning = {});

/// One way that a communication library moves bytes, as NCCL's LL, LL128 and Simple do.
struct Protocol {
  Duration intra_latency{};    ///< alpha1 under it [s]
  Duration inter_latency{};    ///< alpha2 under it [s]
  double bandwidth_share = 1;  ///< of every bandwidth, what carries data
};

/// The least `collective_time` over `protocols`, each with its latencies and share; without any: the
/// placement's own.
/// @throws Error(invalid_argument) also for a share that is not in (0, 1]
Duration collective_time(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                         const GroupPlacement& placement, const CollectiveTuning& tuning,
                         std::span<const Protocol> protocols);

/// An algorithm with its tuning, and what it takes.
struct CollectiveChoice {
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
  CollectiveTuning tuning{};
  Duration time{};
};

/// The algorithm that takes least for `kind` there, of those that do not refuse.
///
/// Ties: the first in the order of CollectiveAlgorithm; of a ring's channels (1, or one a NIC) the
/// fewest; of a hierarchy's ways across the first in the same order.
/// @throws Error(invalid_argument) as collective_time
CollectiveChoice best_algorithm(CollectiveKind kind, Bytes size, const GroupPlacement& placement);

}  // namespace foreplan
