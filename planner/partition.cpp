#include "planner/partition.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "planner/contraction.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Adds to `found` every partition that continues `prefix`; false once there are more than `most`.
bool extend(const std::vector<bool>& legal, std::vector<int>& prefix, int stages_left,
            std::vector<std::vector<int>>& found, std::size_t most) {
  const int layers = static_cast<int>(legal.size()) + 1;
  int begin = 0;
  for (const int count : prefix) begin += count;
  if (stages_left == 1) {
    found.push_back(prefix);
    found.back().push_back(layers - begin);
    return found.size() <= most;
  }
  for (int count = 1; begin + count <= layers - stages_left + 1; ++count) {
    if (!legal[static_cast<std::size_t>(begin + count - 1)]) continue;
    prefix.push_back(count);
    const bool room = extend(legal, prefix, stages_left - 1, found, most);
    prefix.pop_back();
    if (!room) return false;
  }
  return true;
}

}  // namespace

std::vector<bool> cuts(const OpGraph& model) {
  UnitInputs inputs;
  for (std::size_t i = 0; i + 1 < model.size(); ++i) {
    std::vector<std::int32_t>& read = inputs.emplace_back();
    for (const LayerId input : model.inputs(LayerId{static_cast<std::int32_t>(i)})) {
      read.push_back(input == kModelInput ? kSamples : static_cast<std::int32_t>(input));
    }
  }
  return single_tensor_cuts(inputs);
}

void check_cuts(const OpGraph& model, const std::vector<int>& layers) {
  const std::vector<bool> legal = cuts(model);
  int end = 0;
  for (std::size_t stage = 0; stage + 1 < layers.size(); ++stage) {
    end += layers[stage];
    if (legal[static_cast<std::size_t>(end - 1)]) continue;
    reject(
        fmt::format("strategy: layers: stages cannot be cut between '{}' and '{}': more than one "
                    "tensor crosses there",
                    model.layer(LayerId{end - 1}).name, model.layer(LayerId{end}).name));
  }
}

std::vector<int> stages_of_layers(const OpGraph& model, const std::vector<int>& layers) {
  std::vector<int> stages;
  for (std::size_t stage = 0; stage < layers.size(); ++stage) {
    stages.insert(stages.end(), static_cast<std::size_t>(layers[stage]), static_cast<int>(stage));
  }
  stages.resize(model.size(), static_cast<int>(layers.size()) - 1);
  return stages;
}

std::vector<std::vector<int>> all_partitions(const OpGraph& model, int stages, std::size_t most) {
  std::vector<std::vector<int>> found;
  std::vector<int> prefix;
  if (!extend(cuts(model), prefix, stages, found, most)) found.clear();
  return found;
}

std::vector<int> balanced_partition(const OpGraph& model, const std::vector<Duration>& times,
                                    int stages) {
  const std::vector<bool> legal = cuts(model);
  const std::size_t n = times.size();
  std::vector<Duration> before(n + 1, Duration::zero());
  for (std::size_t i = 0; i < n; ++i) before[i + 1] = before[i] + times[i];
  // best[k][i]: the slowest stage when layers i.. make k stages; next[k][i]: where the first ends.
  const auto rows = static_cast<std::size_t>(stages) + 1;
  std::vector best(rows, std::vector<Duration>(n + 1, Duration::max()));
  std::vector next(rows, std::vector<std::size_t>(n + 1, n));
  for (std::size_t i = 0; i < n; ++i) best[1][i] = before[n] - before[i];
  for (std::size_t k = 2; k < rows; ++k) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t end = i + 1; end < n; ++end) {
        if (!legal[end - 1] || best[k - 1][end] == Duration::max()) continue;
        const Duration slowest = std::max(before[end] - before[i], best[k - 1][end]);
        if (slowest < best[k][i]) best[k][i] = slowest, next[k][i] = end;
      }
    }
  }
  if (best[static_cast<std::size_t>(stages)][0] == Duration::max()) {
    reject(fmt::format("strategy: {} cannot be cut into {} stages", model.name(), stages));
  }
  std::vector<int> layers;
  std::size_t at = 0;
  for (auto k = static_cast<std::size_t>(stages); k >= 1; --k) {
    layers.push_back(static_cast<int>(next[k][at] - at));
    at = next[k][at];
  }
  return layers;
}

}  // namespace foreplan
