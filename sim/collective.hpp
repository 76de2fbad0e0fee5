#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// A hop: alpha [s] and beta's inverse [B/s].
struct Hop {
  Duration latency{};
  Bandwidth bandwidth;
};

/// Time of a ring all-reduce among `ranks` devices whose neighbours are joined by `hop`.
///
///   t = 2 (n - 1) (alpha + S / (n beta))
///
/// @param size   S, the buffer each rank holds [B]; not the sum over ranks
/// @param ranks  n >= 1; a single rank costs nothing
/// @param hop    the slowest hop of the ring
/// @throws Error(invalid_argument) if size < 0, ranks < 1 or the bandwidth is not positive
///
/// Assumes full-duplex links, no competing traffic, reduction hidden.
/// Source: Patarasuk and Yuan, J. Parallel Distrib. Comput. 69(2), 2009.
Duration ring_all_reduce_time(Bytes size, int ranks, const Hop& hop);

/// Time of a ring reduce-scatter or all-gather: half an all-reduce, (n - 1)(alpha + S / (n beta)).
/// Parameters, errors, assumptions and source as ring_all_reduce_time.
Duration ring_half_time(Bytes size, int ranks, const Hop& hop);

/// How a collective becomes copies and adds.
enum class CollectiveAlgorithm : std::uint8_t {
  ring,    ///< n - 1 rounds to and from neighbours: the least bytes over each link
  direct,  ///< every rank exchanges with every other at once: the fewest rounds
};
std::string_view name(CollectiveAlgorithm algorithm);

/// A collective to be added to a graph.
struct CollectiveSpec {
  CollectiveKind kind = CollectiveKind::all_reduce;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;  ///< all_to_all is always direct
  std::vector<DeviceId> group{};                              ///< ring order; at least one
  /// Of the whole buffer, as Collective::bytes; whole fp32 numbers where there is data.
  Bytes bytes{};
  StreamId stream = kCollectiveStream;
  /// By rank: what must be done before the rank takes part. Empty: nothing.
  std::vector<std::vector<TaskId>> after{};
  /// By rank: where the whole buffer lies, `bytes` long; worked on in place. all_gather finds rank
  /// r's part at its place there; reduce_scatter leaves it there. Empty: times only, no buffers and
  /// no adds. Not for all_to_all.
  std::vector<BufferRange> data{};
  std::int32_t node = -1;
  std::int32_t micro_batch = -1;
  std::string name{};
};

/// The tasks of an added collective, by rank.
struct CollectiveTasks {
  std::int32_t collective = -1;
  /// When these are done the rank holds its result. For a group of one: its `after`.
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

/// Adds the copies and adds of a collective to `builder`.
///
/// Ring: round r (0 <= r < n - 1) of a reduce-scatter: rank i pulls chunk (i - 2 - r) mod n from its
/// left neighbour into a communication buffer of its own and adds it to its data; of an all-gather:
/// rank i pulls chunk (i - 1 - r) mod n straight into its data.
///
/// Direct: in round r rank i pulls chunk i from rank (i - 1 - r) mod n and adds it; of an all-gather:
/// rank i pulls chunk (i - 1 - r) mod n from the rank that owns it. No round waits for another.
///
/// An all-reduce is a reduce-scatter and an all-gather, one behind the other. An all_to_all, times
/// only: in round r every rank pulls its part, bytes / n, from rank (i - 1 - r) mod n.
///
/// Every transfer runs on the destination, its add on the same stream right behind. Ranks are added
/// round by round, so that each stream holds its tasks in round order. Empty chunks have no tasks.
/// @throws Error(invalid_argument) for an empty group, an all_to_all with data, ranges of the wrong
///   size
CollectiveTasks expand_collective(TaskGraphBuilder& builder, const CollectiveSpec& spec);

}  // namespace foreplan
