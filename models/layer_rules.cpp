#include "models/layer_rules.hpp"

#include <variant>

namespace foreplan {

bool keeps_rows(LayerKind kind) {
  switch (kind) {
    case LayerKind::class_token:
    case LayerKind::attention:
    case LayerKind::select:
    case LayerKind::conv2d:
    case LayerKind::max_pool:
    case LayerKind::average_pool:
    case LayerKind::flatten:
    case LayerKind::dispatch:
    case LayerKind::combine:
      return false;
    default:
      return true;
  }
}

bool keeps_width(LayerKind kind) {
  switch (kind) {
    case LayerKind::linear:
    case LayerKind::embedding:
    case LayerKind::attention:
    case LayerKind::conv2d:
    case LayerKind::flatten:
    case LayerKind::concat:
    case LayerKind::top_k:
    case LayerKind::expert_linear:
    case LayerKind::softmax_cross_entropy:
      return false;
    default:
      return true;
  }
}

std::vector<std::int64_t> counts_of(const LayerShape& shape) {
  if (const auto* a = std::get_if<AttentionShape>(&shape)) {
    return {a->heads,
            a->kv_heads,
            a->qk_features,
            a->v_features,
            a->window + 1,
            a->bias_rows + 1,
            a->shared_key_features + 1};
  }
  if (const auto* e = std::get_if<ExpertShape>(&shape)) return {e->experts, e->top_k};
  if (const auto* t = std::get_if<TableShape>(&shape)) return {t->rows};
  if (const auto* n = std::get_if<NormShape>(&shape)) return {n->groups};
  return {};
}

}  // namespace foreplan
