// Which collectives each algorithm knows.
#include <fmt/format.h>

#include <bit>

#include "sim/collective.hpp"

namespace foreplan {
namespace {

using Algorithm = CollectiveAlgorithm;
using Kind = CollectiveKind;

bool power_of_two(int n) { return std::has_single_bit(static_cast<unsigned>(n)); }

/// Whether there are rounds for it at all.
bool knows(Algorithm algorithm, Kind kind) {
  switch (algorithm) {
    case Algorithm::ring:
      return kind != Kind::gather && kind != Kind::scatter;
    case Algorithm::direct:
      return true;
    case Algorithm::tree:
      return kind == Kind::all_reduce || kind >= Kind::broadcast;
    case Algorithm::recursive_doubling:
      return kind == Kind::all_reduce || kind == Kind::all_gather;
    case Algorithm::halving_doubling:
      return kind <= Kind::all_gather;
    case Algorithm::double_tree:
    case Algorithm::hierarchical:
      return kind == Kind::all_reduce;
  }
  return false;
}

std::optional<std::string> refused_tuning(Kind kind, Algorithm algorithm, const GroupGrid& grid,
                                          const CollectiveTuning& tuning) {
  if (tuning.chunks < 0) return fmt::format("expected chunks >= 0, got {}", tuning.chunks);
  if (tuning.channels == 1) return {};
  if (tuning.channels < 1) return fmt::format("expected channels >= 1, got {}", tuning.channels);
  if (algorithm != Algorithm::ring || kind > Kind::all_gather) {
    return fmt::format("{} {} has one channel, got {}", name(algorithm), name(kind),
                       tuning.channels);
  }
  if (tuning.channels <= grid.ranks_per_node) return {};
  return fmt::format("expected at most a channel for each of a node's {} ranks, got {}",
                     grid.ranks_per_node, tuning.channels);
}

std::optional<std::string> refused_hierarchy(const GroupGrid& grid,
                                             const CollectiveTuning& tuning) {
  if (grid.ranks_per_node == 1 || grid.nodes == 1) {
    return fmt::format("hierarchical needs several ranks on several nodes, got {} on {}",
                       grid.ranks_per_node, grid.nodes);
  }
  if (tuning.across == Algorithm::hierarchical) return "hierarchical needs another way across";
  return collective_refusal(Kind::all_reduce, tuning.across, {1, grid.nodes},
                            {.chunks = tuning.chunks});
}

/// What needs one level of network, or a power of two of ranks.
std::optional<std::string> refused_shape(Kind kind, Algorithm algorithm, const GroupGrid& grid) {
  const bool two_levels = grid.ranks_per_node > 1 && grid.nodes > 1;
  const bool parts = kind == Kind::gather || kind == Kind::scatter;
  if (two_levels &&
      (algorithm == Algorithm::double_tree || (algorithm == Algorithm::tree && parts))) {
    return fmt::format("{} {} needs one node or one rank a node, got {} ranks on each of {} nodes",
                       name(algorithm), name(kind), grid.ranks_per_node, grid.nodes);
  }
  const bool halves =
      algorithm == Algorithm::recursive_doubling || algorithm == Algorithm::halving_doubling;
  if (!halves || power_of_two(grid.ranks())) return {};
  if (kind == Kind::all_reduce && !two_levels) return {};
  return fmt::format("{} {} needs a power of two of ranks{}, got {}", name(algorithm), name(kind),
                     two_levels ? " on several nodes" : "", grid.ranks());
}

}  // namespace

std::optional<std::string> collective_refusal(CollectiveKind kind, CollectiveAlgorithm algorithm,
                                              const GroupGrid& grid,
                                              const CollectiveTuning& tuning) {
  if (grid.ranks() == 1) return {};
  if (!knows(algorithm, kind)) {
    return fmt::format("{} has no {}", name(algorithm), name(kind));
  }
  if (auto reason = refused_tuning(kind, algorithm, grid, tuning)) return reason;
  if (algorithm == Algorithm::hierarchical) return refused_hierarchy(grid, tuning);
  return refused_shape(kind, algorithm, grid);
}

}  // namespace foreplan
