#include "models/op_cost.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// The entries of a shape by the letters of the table in the header. Whole numbers; as doubles,
/// since products of three may exceed 64 bits.
struct Dims {
  double m = 1, k = 1, n = 1;
};

/// What an op does when it overwrites its result.
struct Work {
  double flops = 0;
  double reads = 0;        ///< elements
  double writes = 0;       ///< elements
  double words = 0;        ///< numbers of 4 bytes whatever the dtype, read or written
  bool reduction = false;  ///< sums that may start from the old result as well as from zero
};

struct Rule {
  std::string_view op;
  Pass pass;
  std::string_view shape;
  Work (*work)(const Dims&);
};

constexpr bool kReduction = true;

/// Above this many elements a double no longer counts each one.
constexpr double kMostElements = 9007199254740992.0;  // 2^53

// One line of arithmetic an op and pass: flops, elements read, elements written.
constexpr auto kRules = std::to_array<Rule>({
    {"linear", Pass::forward, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n + d.m * d.n, d.m * d.k + d.k * d.n + d.n, d.m * d.n, 0,
                   kReduction};
     }},
    {"linear", Pass::backward_input, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n, d.m * d.n + d.k * d.n, d.m * d.k, 0, kReduction};
     }},
    {"linear", Pass::backward_weight, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n + d.m * d.n, d.m * d.k + d.m * d.n, d.k * d.n + d.n, 0,
                   kReduction};
     }},
    {"matmul", Pass::forward, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n, d.m * d.k + d.k * d.n, d.m * d.n, 0, kReduction};
     }},
    {"matmul", Pass::backward_input, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n, d.m * d.n + d.k * d.n, d.m * d.k, 0, kReduction};
     }},
    {"matmul", Pass::backward_weight, "m, k, n",
     [](const Dims& d) {
       return Work{2 * d.m * d.k * d.n, d.m * d.k + d.m * d.n, d.k * d.n, 0, kReduction};
     }},
    {"bias_add", Pass::forward, "m, n",
     [](const Dims& d) {
       return Work{d.m * d.n, d.m * d.n + d.n, d.m * d.n};
     }},
    {"bias_add", Pass::backward_weight, "m, n",
     [](const Dims& d) {
       return Work{d.m * d.n, d.m * d.n, d.n, 0, kReduction};
     }},
    {"relu", Pass::forward, "n",
     [](const Dims& d) {
       return Work{d.n, d.n, d.n};
     }},
    {"relu", Pass::backward_input, "n",
     [](const Dims& d) {
       return Work{d.n, 2 * d.n, d.n};
     }},
    {"gelu", Pass::forward, "n",
     [](const Dims& d) {
       return Work{5 * d.n, d.n, d.n};
     }},
    {"gelu", Pass::backward_input, "n",
     [](const Dims& d) {
       return Work{11 * d.n, 2 * d.n, d.n};
     }},
    {"layer_norm", Pass::forward, "m, n",
     [](const Dims& d) {
       return Work{7 * d.m * d.n, d.m * d.n + 2 * d.n, d.m * d.n, 2 * d.m};
     }},
    {"layer_norm", Pass::backward_input, "m, n",
     [](const Dims& d) {
       return Work{10 * d.m * d.n, 2 * d.m * d.n + d.n, d.m * d.n, 2 * d.m};
     }},
    {"layer_norm", Pass::backward_weight, "m, n",
     [](const Dims& d) {
       return Work{5 * d.m * d.n, 2 * d.m * d.n, 2 * d.n, 2 * d.m, kReduction};
     }},
    {"rms_norm", Pass::forward, "m, n",
     [](const Dims& d) {
       return Work{4 * d.m * d.n, d.m * d.n + d.n, d.m * d.n, d.m};
     }},
    {"rms_norm", Pass::backward_input, "m, n",
     [](const Dims& d) {
       return Work{8 * d.m * d.n, 2 * d.m * d.n + d.n, d.m * d.n, d.m};
     }},
    {"rms_norm", Pass::backward_weight, "m, n",
     [](const Dims& d) {
       return Work{3 * d.m * d.n, 2 * d.m * d.n, d.n, d.m, kReduction};
     }},
    {"softmax", Pass::forward, "m, n",
     [](const Dims& d) {
       return Work{5 * d.m * d.n, d.m * d.n, d.m * d.n};
     }},
    {"softmax", Pass::backward_input, "m, n",
     [](const Dims& d) {
       return Work{4 * d.m * d.n, 2 * d.m * d.n, d.m * d.n};
     }},
    // Here k is the vocabulary; only the rows that occur are moved, at most one a token.
    {"embedding", Pass::forward, "m, vocabulary, n",
     [](const Dims& d) {
       return Work{0, d.m * d.n, d.m * d.n, d.m};
     }},
    {"embedding", Pass::backward_weight, "m, vocabulary, n",
     [](const Dims& d) {
       return Work{d.m * d.n, d.m * d.n, d.k * d.n, d.m, kReduction};
     }},
    {"add", Pass::forward, "n", [](const Dims& d) { return Work{d.n, 2 * d.n, d.n}; }},
    {"accumulate", Pass::forward, "n", [](const Dims& d) { return Work{d.n, 2 * d.n, d.n}; }},
    {"copy", Pass::forward, "n", [](const Dims& d) { return Work{0, d.n, d.n}; }},
    // Here k is the whole width and n the number of parts.
    {"gather_columns", Pass::forward, "m, n, parts",
     [](const Dims& d) { return Work{0, d.m * d.k, d.m * d.k}; }},
    {"gather_columns", Pass::backward_input, "m, n, parts",
     [](const Dims& d) { return Work{0, d.m * d.k / d.n, d.m * d.k / d.n}; }},
    {"softmax_cross_entropy", Pass::forward, "m, n",
     [](const Dims& d) { return Work{5 * d.m * d.n, d.m * d.n, d.m * d.n + 1, d.m}; }},
    {"softmax_cross_entropy", Pass::backward_input, "m, n",
     [](const Dims& d) { return Work{2 * d.m * d.n, d.m * d.n, d.m * d.n, d.m}; }},
    {"sgd", Pass::optimizer, "n",
     [](const Dims& d) { return Work{4 * d.n, 2 * d.n, d.n, 2 * d.n}; }},
    {"adam", Pass::optimizer, "n",
     [](const Dims& d) { return Work{14 * d.n, 2 * d.n, d.n, 4 * d.n}; }},
});

const Rule& rule_of(const OpKey& key) {
  bool known = false;
  for (const Rule& rule : kRules) {
    if (rule.op != key.op) continue;
    if (rule.pass == key.pass) return rule;
    known = true;
  }
  if (!known) reject(fmt::format("unknown op '{}'", key.op));
  reject(fmt::format("op {} has no pass {}", key.op, name(key.pass)));
}

Dims dims_of(const OpKey& key, const Rule& rule) {
  const auto entries =
      static_cast<std::size_t>(1 + std::count(rule.shape.begin(), rule.shape.end(), ','));
  if (key.shape.size() != entries) {
    reject(fmt::format("op {}.{}: expected a shape [{}], got [{}]", key.op, name(key.pass),
                       rule.shape, fmt::join(key.shape, ", ")));
  }
  for (const std::int64_t entry : key.shape) {
    if (entry < 1) {
      reject(fmt::format("op {}.{}: expected positive entries in the shape [{}], got [{}]", key.op,
                         name(key.pass), rule.shape, fmt::join(key.shape, ", ")));
    }
  }
  const auto entry = [&](std::size_t i) { return static_cast<double>(key.shape[i]); };
  if (entries == 1) return {.n = entry(0)};
  if (entries == 2) return {.m = entry(0), .n = entry(1)};
  return {.m = entry(0), .k = entry(1), .n = entry(2)};
}

void check_special(const OpKey& key) {
  if (key.op == "gather_columns" && key.shape[1] % key.shape[2] != 0) {
    reject(fmt::format("op gather_columns: {} columns do not divide into {} parts", key.shape[1],
                       key.shape[2]));
  }
  if (key.accumulate && key.pass == Pass::optimizer) {
    reject(fmt::format("op {}.optimizer does not accumulate", key.op));
  }
}

/// Adds what `+=` costs over `=`: the old result is read, and added unless a sum starts from it.
void accumulate(Work& work) {
  work.reads += work.writes;
  if (!work.reduction) work.flops += work.writes;
}

}  // namespace

Op make_op(OpKey key) {
  const Rule& rule = rule_of(key);
  const Dims dims = dims_of(key, rule);
  check_special(key);
  Work work = rule.work(dims);
  if (key.accumulate && key.op != "accumulate") accumulate(work);
  const double elements = work.reads + work.writes + work.words;
  if (elements > kMostElements) {
    reject(fmt::format("op {}.{}: the shape [{}] is too large to count", key.op, name(key.pass),
                       fmt::join(key.shape, ", ")));
  }
  const Bytes traffic =
      static_cast<std::int64_t>(work.reads + work.writes) * element_size(key.dtype) +
      static_cast<std::int64_t>(work.words) * Bytes{sizeof(std::int32_t)};
  return {.key = std::move(key), .flops = {work.flops}, .traffic = traffic};
}

namespace {

/// The op that computes a layer, at the shape of one sample.
OpKey layer_key(const Layer& layer, Pass pass, DType dtype) {
  OpKey key{.op = std::string(name(layer.kind)), .pass = pass, .shape = {}, .dtype = dtype};
  switch (layer.kind) {
    case LayerKind::linear:
      if (!layer.bias) key.op = "matmul";
      key.shape = {1, layer.in_features, layer.out_features};
      break;
    case LayerKind::layer_norm:
    case LayerKind::softmax_cross_entropy:
      key.shape = {1, layer.in_features};
      break;
    default:
      key.shape = {layer.in_features};
  }
  return key;
}

bool learns(LayerKind kind) { return kind == LayerKind::linear || kind == LayerKind::layer_norm; }

/// Nobody asks for the gradient of the samples; the gradient of a sum is handed on as it is.
bool has_backward_input(const OpGraph& graph, LayerId id) {
  if (graph.layer(id).kind == LayerKind::add) return false;
  const std::vector<LayerId>& inputs = graph.inputs(id);
  return std::any_of(inputs.begin(), inputs.end(), [](LayerId in) { return in != kModelInput; });
}

}  // namespace

LayerCost layer_cost(const OpGraph& graph, LayerId id, DType dtype) {
  const Layer& layer = graph.layer(id);
  LayerCost cost;
  for (const std::int32_t i : graph.parameters_of(id)) {
    const Parameter& parameter = graph.parameters()[static_cast<std::size_t>(i)];
    cost.parameters += parameter.rows * parameter.columns;
  }
  const Op forward = make_op(layer_key(layer, Pass::forward, dtype));
  cost.forward = forward.flops;
  cost.forward_traffic = forward.traffic;
  if (has_backward_input(graph, id)) {
    const Op backward = make_op(layer_key(layer, Pass::backward_input, dtype));
    cost.backward_input = backward.flops;
    cost.backward_input_traffic = backward.traffic;
  }
  if (learns(layer.kind)) {
    const Op backward = make_op(layer_key(layer, Pass::backward_weight, dtype));
    cost.backward_weight = backward.flops;
    cost.backward_weight_traffic = backward.traffic;
  }
  cost.activation = layer.out_features * element_size(dtype);
  return cost;
}

}  // namespace foreplan
