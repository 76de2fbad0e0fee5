#include "planner/branches.hpp"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/connected_components.hpp>
#include <boost/graph/max_cardinality_matching.hpp>

#include "planner/contraction.hpp"
#include "planner/stage_layout.hpp"

namespace foreplan {
namespace {

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS>;

/// Entry (i, j): layer j reads layer i, at some remove.
std::vector<std::vector<bool>> reached(const Stretch& stretch) {
  const auto n = static_cast<std::size_t>(stretch.size());
  std::vector<std::vector<bool>> before(n, std::vector<bool>(n, false));
  for (std::size_t j = 0; j < n; ++j) {
    for (const std::int32_t input : stretch.inputs[j]) {
      if (input < 0) continue;
      const auto i = static_cast<std::size_t>(input);
      before[i][j] = true;
      for (std::size_t k = 0; k < i; ++k) {
        if (before[k][i]) before[k][j] = true;
      }
    }
  }
  return before;
}

/// By Dilworth's theorem the fewest chains that cover all layers: their number less the largest matching of
/// layers with layers behind them.
int width_of(const Stretch& stretch) {
  const auto n = static_cast<std::size_t>(stretch.size());
  if (n <= 2) return 1;
  const std::vector<std::vector<bool>> before = reached(stretch);
  Graph graph(2 * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      if (before[i][j]) boost::add_edge(i, n + j, graph);
    }
  }
  std::vector<boost::graph_traits<Graph>::vertex_descriptor> mate(2 * n);
  boost::edmonds_maximum_cardinality_matching(graph, mate.data());
  return static_cast<int>(n - boost::matching_size(graph, mate.data()));
}

}  // namespace

std::vector<Stretch> stretches(const OpGraph& model) {
  std::vector<Stretch> found;
  if (!model.flat()) return found;
  const UnitInputs inputs = unit_inputs(model, unit_chain(model));
  const std::vector<bool> cuts = single_tensor_cuts(inputs);
  for (std::size_t u = 0; u < inputs.size(); ++u) {
    const auto unit = static_cast<std::int32_t>(u);
    if (u == 0 || cuts[u - 1]) found.push_back({.first = unit, .inputs = {}});
    Stretch& stretch = found.back();
    std::vector<std::int32_t>& read = stretch.inputs.emplace_back();
    for (const std::int32_t input : inputs[u]) {
      if (input != kSamples) read.push_back(input - stretch.first);
    }
  }
  for (Stretch& stretch : found) stretch.width = width_of(stretch);
  return found;
}

int most_branches(const std::vector<Stretch>& stretches) {
  int most = 1;
  for (const Stretch& stretch : stretches) most = std::max(most, stretch.width);
  return most;
}

std::vector<std::int32_t> branches_of(const Stretch& stretch) {
  const auto n = static_cast<std::size_t>(stretch.size());
  Graph graph(n - 1);
  for (std::size_t j = 0; j + 1 < n; ++j) {
    for (const std::int32_t input : stretch.inputs[j]) {
      if (input >= 0) boost::add_edge(static_cast<std::size_t>(input), j, graph);
    }
  }
  std::vector<std::int32_t> branch(n, -1);
  if (n > 1) boost::connected_components(graph, branch.data());
  return branch;
}

}  // namespace foreplan
