#pragma once

#include <string>
#include <vector>

#include "models/op_graph.hpp"

namespace foreplan {

/// The GPT of the papers: `layers` of width h, a heads, 4 h inside the MLP, dropout, V words, tied.
struct GptSizes {
  std::int64_t layers = 2, h = 8, a = 2, vocabulary = 16, positions = 4;
};

/// Written by hand, layer by layer, for tests of what is counted.
inline OpGraph hand_made_gpt(const GptSizes& g) {
  OpGraphParts parts{.name = "gpt",
                     .input_features = 1,
                     .input_positions = kSourceTokens,
                     .layers = {},
                     .inputs = {},
                     .blocks = {},
                     .runs = {{0, 1}, {1, static_cast<std::int32_t>(g.layers)}, {2, 1}}};
  const auto add = [&](std::string name, LayerKind kind, std::int64_t in, std::int64_t out,
                       std::vector<LayerId> from, LayerShape shape = {}) {
    parts.layers.push_back({.name = std::move(name),
                            .kind = kind,
                            .in_features = in,
                            .out_features = out,
                            .positions = kSourceTokens,
                            .shape = shape});
    parts.inputs.push_back(std::move(from));
    return LayerId{static_cast<std::int32_t>(parts.layers.size()) - 1};
  };
  const std::int64_t h = g.h;
  const LayerId table =
      add("table", LayerKind::embedding, 1, h, {kModelInput}, TableShape{g.vocabulary});
  const LayerId place =
      add("places", LayerKind::position_embedding, h, h, {table}, TableShape{g.positions});
  const LayerId start = add("drop", LayerKind::dropout, h, h, {place});
  const LayerId norm1 = add("norm1", LayerKind::layer_norm, h, h, {kBlockInput});
  const LayerId q = add("q", LayerKind::linear, h, h, {norm1});
  const LayerId k = add("k", LayerKind::linear, h, h, {norm1});
  const LayerId v = add("v", LayerKind::linear, h, h, {norm1});
  const AttentionShape heads{.heads = g.a,
                             .kv_heads = g.a,
                             .qk_features = h / g.a,
                             .v_features = h / g.a,
                             .dropout = true};
  const LayerId attention = add("attention", LayerKind::attention, h, h, {q, k, v}, heads);
  const LayerId projection = add("projection", LayerKind::linear, h, h, {attention});
  const LayerId drop1 = add("drop1", LayerKind::dropout, h, h, {projection});
  const LayerId sum1 = add("sum1", LayerKind::add, h, h, {drop1, kBlockInput});
  const LayerId norm2 = add("norm2", LayerKind::layer_norm, h, h, {sum1});
  const LayerId up = add("up", LayerKind::linear, h, 4 * h, {norm2});
  const LayerId gelu = add("gelu", LayerKind::gelu, 4 * h, 4 * h, {up});
  const LayerId down = add("down", LayerKind::linear, 4 * h, h, {gelu});
  const LayerId drop2 = add("drop2", LayerKind::dropout, h, h, {down});
  const LayerId sum2 = add("sum2", LayerKind::add, h, h, {drop2, sum1});
  const LayerId norm = add("norm", LayerKind::layer_norm, h, h, {kBlockInput});
  const LayerId head = add("head", LayerKind::linear, h, g.vocabulary, {norm});
  parts.layers.back().tied_to = table;
  parts.layers.back().bias = false;
  const LayerId loss = add("loss", LayerKind::softmax_cross_entropy, g.vocabulary, 1, {head});
  parts.blocks = {{"embedding", table, start, BlockRole::embedding},
                  {"layer", norm1, sum2, BlockRole::layer},
                  {"head", norm, loss, BlockRole::head}};
  return OpGraph(std::move(parts));
}

}  // namespace foreplan
