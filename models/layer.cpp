#include "models/layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

constexpr auto kKindNames = std::to_array<std::string_view>({
    "linear",       "relu",
    "gelu",         "layer_norm",
    "add",          "softmax_cross_entropy",
    "gelu_tanh",    "silu",
    "tanh",         "gated_silu",
    "gated_gelu",   "dropout",
    "rms_norm",     "batch_norm",
    "embedding",    "position_embedding",
    "class_token",  "rotary",
    "attention",    "select",
    "conv2d",       "max_pool",
    "average_pool", "flatten",
    "concat",       "top_k",
    "dispatch",     "expert_linear",
    "combine",      "relu_squared",
});

std::int64_t attention_operand(const AttentionShape& shape, std::size_t operand) {
  switch (operand) {
    case 0:
      return shape.heads * shape.qk_features;
    case 1:
      return shape.kv_heads * (shape.qk_features - shape.shared_key_features);
    case 2:
      return shape.kv_heads * shape.v_features;
    default:
      return shape.shared_key_features;
  }
}

using Role = Parameter::Role;

void add_norm(const Layer& layer, LayerId id, std::int64_t width,
              std::vector<Parameter>& parameters) {
  const auto* norm = std::get_if<NormShape>(&layer.shape);
  if (norm == nullptr || norm->gain) parameters.push_back({id, Role::gain, 1, width});
  const bool shifts = layer.kind != LayerKind::rms_norm && layer.bias;
  if (shifts) parameters.push_back({id, Role::shift, 1, width});
}

void add_weight(const Layer& layer, LayerId id, std::int64_t rows, std::int64_t bias_rows,
                std::vector<Parameter>& parameters) {
  if (!layer.tied_to) parameters.push_back({id, Role::weight, rows, layer.out_features});
  if (layer.bias) parameters.push_back({id, Role::bias, bias_rows, layer.out_features});
}

}  // namespace

std::int64_t norm_groups(const Layer& layer) {
  const auto* norm = std::get_if<NormShape>(&layer.shape);
  return norm != nullptr ? norm->groups : 1;
}

std::string_view name(LayerKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<LayerKind> layer_kind_named(std::string_view name) {
  const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (found == kKindNames.end()) return std::nullopt;
  return static_cast<LayerKind>(found - kKindNames.begin());
}

template <typename Shape>
const Shape& shape_of(const Layer& layer) {
  if (const auto* shape = std::get_if<Shape>(&layer.shape)) return *shape;
  reject(fmt::format("layer {}: {} lacks its shape", printable(layer.name, 100), name(layer.kind)));
}
template const AttentionShape& shape_of(const Layer&);
template const SpatialShape& shape_of(const Layer&);
template const ExpertShape& shape_of(const Layer&);
template const TableShape& shape_of(const Layer&);
template const NormShape& shape_of(const Layer&);

OperandCount operand_count(LayerKind kind) {
  switch (kind) {
    case LayerKind::add:
    case LayerKind::gated_silu:
    case LayerKind::gated_gelu:
    case LayerKind::dispatch:
    case LayerKind::combine:
      return {2, 2};
    case LayerKind::attention:
      return {3, 4};
    case LayerKind::concat:
      return {2, 1000};
    default:
      return {1, 1};
  }
}

std::optional<std::int64_t> operand_features(const Layer& layer, std::size_t operand) {
  switch (layer.kind) {
    case LayerKind::attention:
      return attention_operand(shape_of<AttentionShape>(layer), operand);
    case LayerKind::concat:
      return std::nullopt;
    case LayerKind::dispatch:
    case LayerKind::combine:
      return operand == 0 ? layer.in_features : shape_of<ExpertShape>(layer).top_k;
    default:
      return layer.in_features;
  }
}

std::vector<Parameter> parameters_of(const Layer& layer, LayerId id) {
  std::vector<Parameter> found;
  switch (layer.kind) {
    case LayerKind::linear:
      add_weight(layer, id, layer.in_features, 1, found);
      break;
    case LayerKind::expert_linear: {
      const std::int64_t experts = shape_of<ExpertShape>(layer).experts;
      add_weight(layer, id, experts * layer.in_features, experts, found);
      break;
    }
    case LayerKind::conv2d: {
      const auto& s = shape_of<SpatialShape>(layer);
      add_weight(layer, id, layer.in_features / s.groups * s.kernel_height * s.kernel_width, 1,
                 found);
      break;
    }
    case LayerKind::layer_norm:
    case LayerKind::rms_norm:
      add_norm(layer, id, layer.out_features / norm_groups(layer), found);
      break;
    case LayerKind::batch_norm:
      add_norm(layer, id, layer.out_features, found);
      break;
    case LayerKind::embedding:
    case LayerKind::position_embedding:
      if (layer.tied_to) break;
      found.push_back({id, Role::table, shape_of<TableShape>(layer).rows, layer.out_features});
      break;
    case LayerKind::class_token:
      found.push_back({id, Role::table, 1, layer.out_features});
      break;
    case LayerKind::attention:
      if (const auto& s = shape_of<AttentionShape>(layer); s.bias_rows > 0) {
        found.push_back({id, Role::table, s.bias_rows, s.heads});
      }
      break;
    default:
      break;
  }
  return found;
}

}  // namespace foreplan
