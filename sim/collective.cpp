#include "sim/collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "sim/collective_expansion.hpp"
#include "sim/collective_phases.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Algorithm = CollectiveAlgorithm;
using Kind = CollectiveKind;
using Cut = CollectiveExpansion::Cut;

constexpr std::int64_t kElement = 4;  // fp32
constexpr std::array<std::string_view, kCollectiveAlgorithms> kAlgorithmNames = {
    "ring",        "direct", "tree", "double_tree", "recursive_doubling", "halving_doubling",
    "hierarchical"};

/// Whether every rank ends up with, or starts from, a part of its own.
bool in_parts(Kind kind) {
  return kind != Kind::all_reduce && kind != Kind::broadcast && kind != Kind::reduce;
}

/// The pieces of an all-reduce among `ranks`.
Cut all_reduce_cut(Algorithm algorithm, int ranks, const CollectiveTuning& tuning) {
  switch (algorithm) {
    case Algorithm::ring:
      return {ranks, tuning.channels};
    case Algorithm::direct:
      return {ranks, 1};
    case Algorithm::halving_doubling:
      return {power_of_two_below(ranks), 1};
    case Algorithm::double_tree:
      return {2, tuning.chunks};
    default:
      return {1, 1};
  }
}

/// One collective of a group on a grid, phase by phase.
class Phases {
 public:
  Phases(TaskGraphBuilder& builder, const CollectiveSpec& spec, const GroupGrid& grid)
      : spec_(spec),
        grid_(grid),
        ranks_(grid.ranks()),
        cut_(cut()),
        expansion_(builder, spec, cut_, lanes()) {}

  CollectiveTasks run() && {
    if (ranks_ > 1) add();
    return std::move(expansion_).result();
  }

 private:
  static std::size_t at(int number) { return static_cast<std::size_t>(number); }

  Cut cut() const {
    if (in_parts(spec_.kind)) return {ranks_, spec_.tuning.channels};
    if (spec_.kind != Kind::all_reduce) {
      return {1, spec_.algorithm == Algorithm::ring ? spec_.tuning.chunks : 1};
    }
    if (spec_.algorithm != Algorithm::hierarchical) {
      return all_reduce_cut(spec_.algorithm, ranks_, spec_.tuning);
    }
    const Cut across = all_reduce_cut(spec_.tuning.across, grid_.nodes, spec_.tuning);
    return {grid_.ranks_per_node, across.outer * across.inner};
  }

  int lanes() const {
    const bool trees = spec_.algorithm == Algorithm::double_tree ||
                       (spec_.algorithm == Algorithm::hierarchical &&
                        spec_.tuning.across == Algorithm::double_tree);
    return trees ? 2 : spec_.tuning.channels;
  }

  /// `count` numbers from `first` on, `step` apart.
  static std::vector<int> numbers(int first, int count, int step = 1) {
    std::vector<int> result(at(count));
    for (int i = 0; i < count; ++i) result[at(i)] = first + i * step;
    return result;
  }
  std::vector<int> everyone() const { return numbers(0, ranks_); }
  std::vector<int> node(int which) const {
    return numbers(which * grid_.ranks_per_node, grid_.ranks_per_node);
  }
  /// One of each node.
  std::vector<int> column(int local) const {
    return numbers(local, grid_.nodes, grid_.ranks_per_node);
  }
  /// Everyone, with their parts.
  Team parts() const { return {everyone(), numbers(0, ranks_), 1, 0}; }
  Message whole() const { return {0, cut_.outer * cut_.inner}; }

  void add() {
    switch (spec_.kind) {
      case Kind::all_reduce:
        return all_reduce();
      case Kind::reduce_scatter:
        return reduce_scatter(spec_.algorithm, parts());
      case Kind::all_gather:
        return all_gather(spec_.algorithm, parts());
      case Kind::all_to_all:
        return direct_all_to_all(expansion_, parts(), grid_.ranks_per_node);
      case Kind::broadcast:
        return broadcast();
      case Kind::reduce:
        return reduce();
      case Kind::gather:
        return gather();
      case Kind::scatter:
        return scatter();
    }
  }

  /// Ring `channel` takes that part of every chunk, and its turn in each node from another rank on.
  Team channel_team(int channel) const {
    Team team{.members = {}, .first = {}, .count = 1, .lane = channel};
    const int g = grid_.ranks_per_node;
    const int channels = spec_.tuning.channels;
    for (int p = 0; p < ranks_; ++p) {
      const int rank = p / g * g + (p % g + channel * g / channels) % g;
      team.members.push_back(rank);
      team.first.push_back(rank * channels + channel);
    }
    return team;
  }

  void reduce_scatter(Algorithm algorithm, const Team& team) {
    if (algorithm == Algorithm::direct) {
      return direct_reduce_scatter(expansion_, team, grid_.ranks_per_node);
    }
    if (algorithm == Algorithm::halving_doubling) return halving_reduce_scatter(expansion_, team);
    for (int c = 0; c < spec_.tuning.channels; ++c) {
      ring_reduce_scatter(expansion_, channel_team(c));
    }
  }

  void all_gather(Algorithm algorithm, const Team& team) {
    if (algorithm == Algorithm::direct) {
      return direct_all_gather(expansion_, team, grid_.ranks_per_node);
    }
    if (algorithm != Algorithm::ring) return doubling_all_gather(expansion_, team);
    for (int c = 0; c < spec_.tuning.channels; ++c) ring_all_gather(expansion_, channel_team(c));
  }

  void all_reduce() {
    if (spec_.algorithm == Algorithm::hierarchical) return hierarchical();
    if (spec_.algorithm == Algorithm::tree) {
      reduce();
      return broadcast();
    }
    if (spec_.algorithm == Algorithm::ring || spec_.algorithm == Algorithm::direct) {
      reduce_scatter(spec_.algorithm, parts());
      return all_gather(spec_.algorithm, parts());
    }
    flat_all_reduce(spec_.algorithm, everyone(), whole());
  }

  /// Among ranks of one level; `message` is cut as `all_reduce_cut` tells.
  void flat_all_reduce(Algorithm algorithm, const std::vector<int>& members,
                       const Message& message) {
    const int n = static_cast<int>(members.size());
    if (algorithm == Algorithm::double_tree) {
      return double_tree_all_reduce(expansion_, members, message);
    }
    if (algorithm == Algorithm::tree) {
      tree_reduce(expansion_, members, message);
      return tree_broadcast(expansion_, members, message);
    }
    if (algorithm == Algorithm::ring || algorithm == Algorithm::direct) {
      const Team team{members, numbers(message.first, n), 1, 0};
      const bool ring = algorithm == Algorithm::ring;
      ring ? ring_reduce_scatter(expansion_, team) : direct_reduce_scatter(expansion_, team, n);
      return ring ? ring_all_gather(expansion_, team) : direct_all_gather(expansion_, team, n);
    }
    const std::vector<int> kept = fold(expansion_, members, message);
    const Team team{kept, numbers(message.first, static_cast<int>(kept.size())), 1, 0};
    if (algorithm == Algorithm::recursive_doubling) {
      doubling_all_reduce(expansion_, kept, message);
    } else {
      halving_reduce_scatter(expansion_, team);
      doubling_all_gather(expansion_, team);
    }
    unfold(expansion_, members, message);
  }

  void hierarchical() {
    const auto node_team = [&](int which) {
      return Team{node(which), numbers(0, grid_.ranks_per_node, cut_.inner), cut_.inner, 0};
    };
    for (int i = 0; i < grid_.nodes; ++i) ring_reduce_scatter(expansion_, node_team(i));
    for (int local = 0; local < grid_.ranks_per_node; ++local) {
      flat_all_reduce(spec_.tuning.across, column(local), {local * cut_.inner, cut_.inner});
    }
    for (int i = 0; i < grid_.nodes; ++i) ring_all_gather(expansion_, node_team(i));
  }

  void broadcast() {
    if (spec_.algorithm == Algorithm::ring) {
      return chain_broadcast(expansion_, everyone(), whole());
    }
    if (spec_.algorithm == Algorithm::direct) {
      for (int rank = 1; rank < ranks_; ++rank) expansion_.move({.rank = rank, .from = 0});
      return;
    }
    tree_broadcast(expansion_, column(0), whole());
    for (int i = 0; i < grid_.nodes; ++i) tree_broadcast(expansion_, node(i), whole());
  }

  void reduce() {
    if (spec_.algorithm == Algorithm::ring) return chain_reduce(expansion_, everyone(), whole());
    if (spec_.algorithm == Algorithm::direct) {
      for (int rank = 1; rank < ranks_; ++rank) {
        expansion_.move({.rank = 0, .from = rank, .adds = true});
      }
      return;
    }
    for (int i = 0; i < grid_.nodes; ++i) tree_reduce(expansion_, node(i), whole());
    tree_reduce(expansion_, column(0), whole());
  }

  void gather() {
    if (spec_.algorithm == Algorithm::tree) return tree_gather(expansion_, parts());
    for (int rank = 1; rank < ranks_; ++rank) {
      expansion_.move({.rank = 0, .from = rank, .first = rank});
    }
  }

  void scatter() {
    if (spec_.algorithm == Algorithm::tree) return tree_scatter(expansion_, parts());
    for (int rank = 1; rank < ranks_; ++rank) {
      expansion_.move({.rank = rank, .from = 0, .first = rank});
    }
  }

  const CollectiveSpec& spec_;
  GroupGrid grid_;
  int ranks_;
  Cut cut_;
  CollectiveExpansion expansion_;
};

void check_data(const CollectiveSpec& spec) {
  if (spec.data.empty()) return;
  if (spec.kind == Kind::all_to_all) {
    reject("collective: expected an all_to_all without data");
  }
  if (spec.data.size() != spec.group.size()) {
    reject(fmt::format("collective: expected data of {} ranks, got {}", spec.group.size(),
                       spec.data.size()));
  }
  if (spec.bytes.count % kElement != 0) {
    reject(fmt::format("collective: expected whole fp32 numbers, got {} bytes", spec.bytes.count));
  }
  for (const BufferRange& range : spec.data) {
    if (range.bytes == spec.bytes) continue;
    reject(fmt::format("collective: expected {} bytes of data on each rank, got {}",
                       spec.bytes.count, range.bytes.count));
  }
}

/// @return the group's shape
GroupGrid check(const CollectiveSpec& spec) {
  const int ranks = static_cast<int>(spec.group.size());
  if (ranks == 0) reject("collective: expected at least one rank, got none");
  if (spec.bytes.count < 0) {
    reject(fmt::format("collective: expected bytes >= 0, got {}", spec.bytes.count));
  }
  if (!spec.after.empty() && spec.after.size() != spec.group.size()) {
    reject(
        fmt::format("collective: expected `after` for {} ranks, got {}", ranks, spec.after.size()));
  }
  if (spec.tuning.chunks < 1) {
    reject(fmt::format("collective: expected chunks >= 1, got {}", spec.tuning.chunks));
  }
  const int per_node = spec.ranks_per_node == 0 ? ranks : spec.ranks_per_node;
  if (per_node < 1 || ranks % per_node != 0) {
    reject(fmt::format("collective: expected nodes of {} ranks, got {} ranks", per_node, ranks));
  }
  check_data(spec);
  const GroupGrid grid{per_node, ranks / per_node};
  if (const auto reason = collective_refusal(spec.kind, spec.algorithm, grid, spec.tuning)) {
    reject("collective: " + *reason);
  }
  return grid;
}

}  // namespace

std::string_view name(CollectiveAlgorithm algorithm) {
  return kAlgorithmNames[static_cast<std::size_t>(algorithm)];
}

ChunkRange ring_chunk(std::int64_t elements, int ranks, int rank) {
  const std::int64_t least = elements / ranks;
  const std::int64_t larger = elements % ranks;
  return {rank * least + std::min<std::int64_t>(rank, larger), least + (rank < larger ? 1 : 0)};
}

CollectiveTasks expand_collective(TaskGraphBuilder& builder, const CollectiveSpec& spec) {
  const GroupGrid grid = check(spec);
  return Phases(builder, spec, grid).run();
}

}  // namespace foreplan
