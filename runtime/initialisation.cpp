#include "runtime/initialisation.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/counter_random.hpp"

namespace foreplan {
namespace {

bool feeds_rectifiers(const OpGraph& model, LayerId layer) {
  const auto& consumers = model.consumers(layer);
  return std::all_of(consumers.begin(), consumers.end(), [&](LayerId consumer) {
    const LayerKind kind = model.layer(consumer).kind;
    return kind == LayerKind::relu || kind == LayerKind::gelu;
  });
}

}  // namespace

Tensors zero_tensors(const OpGraph& model) {
  Tensors tensors;
  for (const Parameter& parameter : model.parameters()) {
    tensors.emplace_back(static_cast<std::size_t>(parameter.rows * parameter.columns));
  }
  return tensors;
}

Tensors initial_weights(const OpGraph& model, std::uint64_t seed) {
  Tensors tensors = zero_tensors(model);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Parameter& parameter = model.parameters()[i];
    if (parameter.role == Parameter::Role::gain) {
      std::fill(tensors[i].begin(), tensors[i].end(), 1.0F);
    }
    if (parameter.role != Parameter::Role::weight) continue;
    const double numerator = feeds_rectifiers(model, parameter.layer) ? 6.0 : 3.0;
    const auto bound =
        static_cast<float>(std::sqrt(numerator / static_cast<double>(parameter.rows)));
    for (std::size_t k = 0; k < tensors[i].size(); ++k) {
      tensors[i][k] = bound * random_uniform(seed, i, k);
    }
  }
  return tensors;
}

}  // namespace foreplan
