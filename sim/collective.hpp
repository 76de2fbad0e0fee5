#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// How a collective becomes copies and adds. `expand_collective` tells each one's rounds,
/// sim/collective_cost.hpp what they cost.
enum class CollectiveAlgorithm : std::uint8_t {
  ring,                ///< to and from neighbours: the least bytes over each link
  direct,              ///< every rank exchanges with every other: no rank waits for a third
  tree,                ///< a binomial tree of whole messages
  double_tree,         ///< two pipelined binary trees, each for half of the buffer
  recursive_doubling,  ///< whole buffers between partners 1, 2, 4, ... ranks apart
  halving_doubling,    ///< Rabenseifner: halves, quarters, ... between partners n/2, n/4, ... apart
  hierarchical,        ///< inside nodes, across nodes, inside nodes
};
inline constexpr int kCollectiveAlgorithms = 7;
std::string_view name(CollectiveAlgorithm algorithm);

inline constexpr int kMostCollectiveChunks = 4096;

/// What an algorithm leaves open.
struct CollectiveTuning {
  /// Parts of a pipelined message (ring broadcast and reduce: of the buffer; double_tree: of each
  /// tree's half); 0 in a cost: the number that takes least.
  int chunks = 1;
  /// Rings at once, each for a part of every chunk. Ring c leaves and enters a node by devices that
  /// lie c g / channels further in it, and so by other NICs.
  int channels = 1;
  /// hierarchical: what each local rank's share goes across nodes by.
  CollectiveAlgorithm across = CollectiveAlgorithm::ring;
};

/// A collective to be added to a graph.
struct CollectiveSpec {
  CollectiveKind kind = CollectiveKind::all_reduce;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
  /// Ring order, at least one. Kinds with a root: the first is it.
  std::vector<DeviceId> group{};
  /// Of the whole buffer, as Collective::bytes; whole fp32 numbers where there is data.
  Bytes bytes{};
  StreamId stream = kCollectiveStream;
  /// By rank: what must be done before the rank takes part. Empty: nothing.
  std::vector<std::vector<TaskId>> after{};
  /// By rank: where the whole buffer lies, `bytes` long; worked on in place. all_gather and gather
  /// find rank r's part at its place there; reduce_scatter and scatter leave it there. What a kind
  /// does not promise is overwritten at will. Empty: times only, no buffers and no adds. Not for
  /// all_to_all.
  std::vector<BufferRange> data{};
  std::int32_t node = -1;
  std::int32_t micro_batch = -1;
  std::string name{};
  /// g: the group lies on nodes, g ranks on each, node by node. 0: on one node.
  int ranks_per_node = 0;
  CollectiveTuning tuning{};
};

/// The tasks of an added collective, by rank.
struct CollectiveTasks {
  std::int32_t collective = -1;
  /// When these are done the rank holds its result. A rank that receives nothing: its `after`.
  std::vector<std::vector<TaskId>> done;
  /// When these are done too, no other rank reads the rank's data any more.
  std::vector<std::vector<TaskId>> released;
};

/// The part of a buffer that belongs to a rank: [first, first + count).
struct ChunkRange {
  std::int64_t first = 0, count = 0;
};

/// The part of `elements` >= 0 that belongs to `rank` of `ranks`: as even as whole elements allow,
/// the larger parts first.
ChunkRange ring_chunk(std::int64_t elements, int ranks, int rank);

/// What a group looks like to an algorithm: g ranks on each of N nodes.
struct GroupGrid {
  int ranks_per_node = 1;
  int nodes = 1;
  constexpr int ranks() const { return ranks_per_node * nodes; }
  friend bool operator==(const GroupGrid&, const GroupGrid&) = default;
};

/// Why `algorithm` cannot do `kind` for a group of that shape; empty: it can. A group of one needs
/// no algorithm, any will do.
std::optional<std::string> collective_refusal(CollectiveKind kind, CollectiveAlgorithm algorithm,
                                              const GroupGrid& grid,
                                              const CollectiveTuning& tuning = {});

/// Adds the copies and adds of a collective of n ranks to `builder`.
///
/// ring. Round r (0 <= r < n - 1) of a reduce-scatter: rank i pulls chunk (i - 2 - r) mod n from its
/// left neighbour into a communication buffer of its own and adds it to its data; of an all-gather:
/// rank i pulls chunk (i - 1 - r) mod n straight into its data. Broadcast and reduce: a chain away
/// from the root or towards it, chunk by chunk.
///
/// direct. Round r: rank i pulls chunk i from rank (i - 1 - r) mod n and adds it; of an all-gather:
/// pulls chunk (i - 1 - r) mod n from the rank that owns it; of an all_to_all: its part, bytes / n.
/// No round waits for another. On several nodes the node's own ranks come first, then those of the
/// node before, and so on, so that all ranks of a node cross at once. Broadcast and scatter: every
/// rank pulls from the root; reduce and gather: the root pulls from every rank.
///
/// tree. Round r of a reduce or gather: ranks i = 0 mod 2^(r+1) pull from i + 2^r all that it has.
/// Broadcast and scatter run it backwards; a rank sends to one at a time. An all-reduce is a reduce
/// and a broadcast. On several nodes a tree inside each node, then one of each node's first ranks.
///
/// double_tree. Two binary trees in which every inner rank has two children (but a root of even n one),
/// a rank that is inner in one being a leaf of the other. An inner rank pulls a chunk from both its
/// children at once when both have it; the broadcast, back down, begins when the root has all.
///
/// recursive_doubling. Round r: rank i pulls the whole buffer of rank i xor 2^r and adds it; of an
/// all-gather: the 2^r chunks that it has.
///
/// halving_doubling. Reduce-scatter: rank i pulls from rank i xor n/2 its half of the buffer and adds
/// it, from i xor n/4 its quarter, and so on; all-gather: backwards.
///
/// Both need n = 2^k; an all-reduce of others on one node (or of one rank a node) first adds each of
/// n - 2^k surplus ranks to a neighbour and in the end copies it the result.
///
/// hierarchical all-reduce: ring reduce-scatter inside nodes, all-reduce of each g-th part across
/// nodes by `tuning.across`, ring all-gather inside nodes.
///
/// An all-reduce by ring, direct or halving_doubling is a reduce-scatter and an all-gather, one behind
/// the other. all_to_all by ring is the direct one.
///
/// Every transfer runs on the destination, its add right behind. A rank's tasks stand on the stream in
/// order of rounds; what it does at the same time (second child or tree, further rings) has no stream
/// and a chain of its own. Empty chunks have no tasks.
/// @throws Error(invalid_argument) for an empty group, an all_to_all with data, ranges of the wrong
///   size, ranks that do not fill their nodes, or what `collective_refusal` tells
///
/// Sources: Thakur, Rabenseifner and Gropp, Int. J. High Perform. Comput. Appl. 19(1), 2005 (tree,
/// recursive doubling, halving and doubling, fold); Sanders, Speck and Traff, Parallel Computing 35,
/// 2009 (two trees); Patarasuk and Yuan, J. Parallel Distrib. Comput. 69(2), 2009 (ring).
CollectiveTasks expand_collective(TaskGraphBuilder& builder, const CollectiveSpec& spec);

}  // namespace foreplan
