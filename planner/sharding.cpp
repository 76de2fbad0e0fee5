#include "planner/sharding.hpp"

#include <fmt/format.h>

#include <optional>

#include "sim/error.hpp"

namespace foreplan {
namespace {

bool element_wise(LayerKind kind) { return kind == LayerKind::relu || kind == LayerKind::gelu; }

/// The linear layer that alone receives the output of `from`, through element-wise layers only.
std::optional<LayerId> partner(const OpGraph& model, LayerId from) {
  LayerId at = from;
  while (true) {
    const std::vector<LayerId>& consumers = model.consumers(at);
    if (consumers.size() != 1) return std::nullopt;
    at = consumers.front();
    if (model.layer(at).kind == LayerKind::linear) return at;
    if (!element_wise(model.layer(at).kind)) return std::nullopt;
  }
}

void check_divides(const Layer& layer, int tp) {
  if (layer.out_features % tp == 0) return;
  reject(fmt::format("strategy: tp={} does not divide the {} output features of layer '{}'", tp,
                     layer.out_features, layer.name));
}

}  // namespace

std::vector<Sharding> shard(const OpGraph& model, int tp) {
  std::vector<Sharding> shardings(model.size(), Sharding::replicated);
  if (tp == 1) return shardings;
  for (std::size_t i = 0; i < model.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const Layer& layer = model.layer(id);
    const LayerId input = model.inputs(id).front();
    const bool split_input =
        input != kModelInput && output_is_split(shardings[static_cast<std::size_t>(input)]);
    if (layer.kind == LayerKind::linear && split_input) {
      shardings[i] = Sharding::row;
    } else if (layer.kind == LayerKind::linear) {
      check_divides(layer, tp);
      shardings[i] = partner(model, id) ? Sharding::column : Sharding::column_gather;
    } else if (split_input) {
      shardings[i] = Sharding::split;
    }
  }
  return shardings;
}

ParameterShard parameter_shard(const Parameter& parameter, Sharding sharding, int tp, int t) {
  ParameterShard part{.row = 0, .rows = parameter.rows, .column = 0, .columns = parameter.columns};
  if (sharding == Sharding::column || sharding == Sharding::column_gather) {
    part.columns = parameter.columns / tp;
    part.column = part.columns * t;
  } else if (sharding == Sharding::row && parameter.role == Parameter::Role::weight) {
    part.rows = parameter.rows / tp;
    part.row = part.rows * t;
  }
  return part;
}

}  // namespace foreplan
