#include "planner/stage_layout.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "planner/contraction.hpp"
#include "planner/partition.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

UnitChain chain_of_blocks(const OpGraph& model) {
  UnitChain chain;
  for (const Block& block : model.blocks()) {
    chain.classes.push_back({.range = {block.first, block.last}, .role = block.role});
  }
  for (const Run& run : model.runs()) {
    chain.units.insert(chain.units.end(), static_cast<std::size_t>(run.repeats), run.block);
  }
  chain.cuts = single_tensor_cuts(unit_inputs(model, chain));
  return chain;
}

UnitChain chain_of_layers(const OpGraph& model) {
  UnitChain chain;
  const std::vector<bool> legal = cuts(model);
  for (std::size_t i = 0; i < model.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const bool loss = i + 1 == model.size();
    chain.classes.push_back({.range = {id, id}, .role = loss ? BlockRole::head : BlockRole::layer});
    chain.units.push_back(static_cast<std::int32_t>(i));
    if (!loss) chain.cuts.push_back(i < legal.size() && legal[i]);
  }
  return chain;
}

void count_layers(UnitChain& chain) {
  const auto role = [&](std::int32_t unit) {
    return chain.classes[static_cast<std::size_t>(unit)].role;
  };
  const auto is_layer = [&](std::int32_t unit) { return role(unit) == BlockRole::layer; };
  const auto first = std::find_if(chain.units.begin(), chain.units.end(), is_layer);
  const auto last = std::find_if(chain.units.rbegin(), chain.units.rend(), is_layer).base();
  chain.first_layer = static_cast<std::int32_t>(first - chain.units.begin());
  chain.layers = static_cast<std::int32_t>(std::max<std::ptrdiff_t>(0, last - first));
}

void append(std::vector<UnitRun>& runs, std::int32_t unit_class) {
  if (runs.empty() || runs.back().unit_class != unit_class) runs.push_back({unit_class, 0});
  ++runs.back().count;
}

/// Moves the borders of stages to legal cuts, the nearest before, or else behind, that leave one to each border
/// behind them.
std::vector<int> at_legal_cuts(const UnitChain& chain, const std::vector<int>& layers) {
  std::vector<int> places;
  for (int at = 1; at < chain.layers; ++at) {
    if (chain.cuts[static_cast<std::size_t>(chain.first_layer + at - 1)]) places.push_back(at);
  }
  const std::size_t borders = layers.size() - 1;
  if (places.size() < borders) {
    reject(fmt::format(
        "strategy: the network cannot be cut into {} stages, which pass on one tensor only",
        layers.size()));
  }
  std::vector<int> legal;
  int done = 0, wanted = 0;
  auto next = places.begin();
  for (std::size_t s = 0; s < borders; ++s) {
    wanted += layers[s];
    const auto end = places.end() - static_cast<std::ptrdiff_t>(borders - s - 1);
    auto at = std::upper_bound(next, end, wanted);
    if (at != next) --at;
    legal.push_back(*at - done);
    done = *at;
    next = at + 1;
  }
  legal.push_back(chain.layers - done);
  return legal;
}

std::int64_t product_weights(const OpGraph& model, const UnitRange& range) {
  std::int64_t sum = 0;
  for (LayerId id = range.first; id <= range.last; id = layer_after(id)) {
    const Layer& layer = model.layer(id);
    if (layer.kind == LayerKind::linear) sum += layer.in_features * layer.out_features;
    if (layer.kind != LayerKind::expert_linear) continue;
    for (const Parameter& parameter : parameters_of(layer, id)) {
      if (parameter.role == Parameter::Role::weight) sum += parameter.rows * parameter.columns;
    }
  }
  return sum;
}

}  // namespace

UnitChain unit_chain(const OpGraph& model) {
  UnitChain chain = model.flat() ? chain_of_layers(model) : chain_of_blocks(model);
  count_layers(chain);
  return chain;
}

std::vector<int> even_layers(const UnitChain& chain, int virtual_stages) {
  const int n = virtual_stages, all = chain.layers;
  if (n > all) {
    reject(fmt::format("strategy: {} stages, but the network has only {} layers", n, all));
  }
  std::vector<int> layers(static_cast<std::size_t>(n), all / n);
  const bool ends_count = n > 1 && all % n != 0 && (all + 2) % n == 0 && (all + 2) / n > 1;
  if (ends_count) {
    std::fill(layers.begin(), layers.end(), (all + 2) / n);
    --layers.front();
    --layers.back();
  } else {
    for (int i = 0; i < all % n; ++i) ++layers[static_cast<std::size_t>(i)];
  }
  const bool anywhere =
      std::all_of(chain.cuts.begin(), chain.cuts.end(), [](bool cut) { return cut; });
  return anywhere ? layers : at_legal_cuts(chain, layers);
}

std::vector<int> weighed_layers(const OpGraph& model, const UnitChain& chain, int virtual_stages) {
  std::vector<std::int64_t> weights;
  for (const UnitClass& unit : chain.classes) weights.push_back(product_weights(model, unit.range));
  std::int64_t total = 0, sum = 0;
  for (const std::int32_t unit : chain.units) total += weights[static_cast<std::size_t>(unit)];
  std::vector<int> layers = even_layers(chain, virtual_stages);
  if (virtual_stages == 1) return layers;
  std::fill(layers.begin(), layers.end(), 0);
  std::size_t stage = 0;
  for (std::size_t i = 0; i < chain.units.size(); ++i) {
    sum += weights[static_cast<std::size_t>(chain.units[i])];
    const auto layer = static_cast<std::int64_t>(i) - chain.first_layer;
    if (layer < 0 || layer >= chain.layers) continue;
    ++layers[stage];
    const auto left = static_cast<std::int64_t>(layers.size() - stage) - 1;
    const bool full = static_cast<double>(sum) * virtual_stages >
                      static_cast<double>(total) * static_cast<double>(stage + 1);
    if (left > 0 && (full || chain.layers - layer - 1 == left)) ++stage;
  }
  const bool anywhere =
      std::all_of(chain.cuts.begin(), chain.cuts.end(), [](bool cut) { return cut; });
  return anywhere ? layers : at_legal_cuts(chain, layers);
}

StageLayout lay_out(const UnitChain& chain, const std::vector<int>& layers) {
  for (const int count : layers) {
    if (count < 1) reject(fmt::format("strategy: layers: expected >= 1, got {}", count));
  }
  if (std::accumulate(layers.begin(), layers.end(), std::int64_t{0}) != chain.layers) {
    reject(fmt::format("strategy: layers={} adds up to {}, but the network has {} layers",
                       fmt::join(layers, "+"), std::accumulate(layers.begin(), layers.end(), 0LL),
                       chain.layers));
  }
  StageLayout layout(layers.size());
  std::size_t unit = 0;
  for (std::size_t s = 0; s < layers.size(); ++s) {
    const bool last = s + 1 == layers.size();
    std::size_t end = unit + static_cast<std::size_t>(layers[s]) +
                      (s == 0 ? static_cast<std::size_t>(chain.first_layer) : 0);
    if (last) end = chain.units.size();
    for (; unit < end; ++unit) append(layout[s], chain.units[unit]);
    if (!last && !chain.cuts[unit - 1]) {
      reject(fmt::format("strategy: layers={}: more than one tensor crosses behind layer {}",
                         fmt::join(layers, "+"), unit));
    }
  }
  return layout;
}

}  // namespace foreplan
