#include "tools/model_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "models/layer_ops.hpp"
#include "sim/error.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kShownTokens = 2048;

LayerId layer_id(std::size_t i) { return LayerId{static_cast<std::int32_t>(i)}; }

bool reads_tokens(const OpGraph& model) {
  return model.input_positions().source > 0 || model.input_positions().target > 0;
}

void add(LayerCost& total, const LayerCost& cost, std::int64_t times) {
  const auto factor = static_cast<double>(times);
  total.parameters += cost.parameters * times;
  total.forward += cost.forward * factor;
  total.backward_input += cost.backward_input * factor;
  total.backward_weight += cost.backward_weight * factor;
  total.forward_traffic += cost.forward_traffic * times;
  total.backward_input_traffic += cost.backward_input_traffic * times;
  total.backward_weight_traffic += cost.backward_weight_traffic * times;
  total.activation += cost.activation * times;
}

/// What every layer costs once, and sums of it.
class Costs {
 public:
  Costs(const OpGraph& model, const SequenceLengths& lengths) : model_(model) {
    for (std::size_t i = 0; i < model.size(); ++i) {
      layers_.push_back(layer_cost(model, layer_id(i), DType::fp32, lengths));
    }
  }
  const LayerCost& layer(std::size_t i) const { return layers_[i]; }
  LayerCost block(const Block& block) const {
    LayerCost sum;
    for (auto i = static_cast<std::size_t>(block.first); i <= static_cast<std::size_t>(block.last);
         ++i) {
      add(sum, layers_[i], 1);
    }
    return sum;
  }
  LayerCost total() const {
    LayerCost sum;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      add(sum, layers_[i], model_.instances(layer_id(i)));
    }
    return sum;
  }

 private:
  const OpGraph& model_;
  std::vector<LayerCost> layers_;
};

Json cost_json(const LayerCost& cost) {
  return {{"parameters", cost.parameters},
          {"forward_flops", cost.forward.count},
          {"backward_input_flops", cost.backward_input.count},
          {"backward_weight_flops", cost.backward_weight.count},
          {"forward_bytes", cost.forward_traffic.count},
          {"backward_input_bytes", cost.backward_input_traffic.count},
          {"backward_weight_bytes", cost.backward_weight_traffic.count},
          {"activation_bytes", cost.activation.count}};
}

Json layer_json(const OpGraph& model, const Costs& costs, std::size_t i) {
  const Layer& layer = model.layers()[i];
  Json json{{"name", layer.name},
            {"type", name(layer.kind)},
            {"in_features", layer.in_features},
            {"out_features", layer.out_features},
            {"repeats", model.instances(layer_id(i))}};
  json.update(cost_json(costs.layer(i)));
  return json;
}

const char* role_name(BlockRole role) {
  switch (role) {
    case BlockRole::embedding:
      return "embedding";
    case BlockRole::layer:
      return "layer";
    case BlockRole::bridge:
      return "bridge";
    default:
      return "head";
  }
}

Json blocks_json(const OpGraph& model, const Costs& costs) {
  Json blocks = Json::array();
  for (const Block& block : model.blocks()) {
    Json json{{"name", block.name},
              {"role", role_name(block.role)},
              {"repeats", model.instances(block.first)},
              {"first", model.layer(block.first).name},
              {"last", model.layer(block.last).name}};
    json.update(cost_json(costs.block(block)));
    blocks.push_back(std::move(json));
  }
  return blocks;
}

/// The rows of the table: with a column for repeats where blocks may repeat.
class Rows {
 public:
  explicit Rows(bool repeats) : repeats_(repeats), table_(header()) {}

  void add(std::vector<std::string> cells, std::int64_t repeats, const LayerCost& cost) {
    const Bytes traffic =
        cost.forward_traffic + cost.backward_input_traffic + cost.backward_weight_traffic;
    if (repeats_) cells.push_back(repeats > 0 ? fmt::format("{}", repeats) : "");
    for (std::string cell :
         {fmt::format("{}", cost.parameters), format(cost.forward), format(cost.backward_input),
          format(cost.backward_weight), format(traffic), format(cost.activation)}) {
      cells.push_back(std::move(cell));
    }
    table_.add(std::move(cells));
  }
  std::string text() const { return table_.text(); }

 private:
  std::vector<std::string> header() const {
    std::vector<std::string> cells{"layer", "type", "shape"};
    if (repeats_) cells.push_back("repeats");
    for (const char* cell :
         {"parameters", "forward", "backward input", "backward weight", "traffic", "activation"}) {
      cells.push_back(cell);
    }
    return cells;
  }

  bool repeats_;
  TextTable table_;
};

void add_layers(const OpGraph& model, const Costs& costs, std::size_t first, std::size_t last,
                Rows& rows) {
  for (std::size_t i = first; i <= last; ++i) {
    const Layer& layer = model.layers()[i];
    rows.add({layer.name, std::string(name(layer.kind)),
              fmt::format("{} -> {}", layer.in_features, layer.out_features)},
             model.instances(layer_id(i)), costs.layer(i));
  }
}

}  // namespace

SequenceLengths lengths_to_show(const OpGraph& model, std::int64_t tokens) {
  if (tokens > 0 && !reads_tokens(model)) {
    reject(fmt::format("--seq: expected a model that reads tokens, got {}", model.name()));
  }
  std::int64_t longest = 0;
  for (const Layer& layer : model.layers()) {
    if (layer.kind != LayerKind::position_embedding) continue;
    longest = std::max(longest, shape_of<TableShape>(layer).rows);
  }
  if (tokens == 0) tokens = longest > 0 ? std::min(longest, kShownTokens) : kShownTokens;
  return {.source = tokens, .target = tokens};
}

std::string describe(const OpGraph& model, const SequenceLengths& lengths) {
  const Costs costs(model, lengths);
  Rows rows(!model.flat());
  if (model.flat()) add_layers(model, costs, 0, model.size() - 1, rows);
  for (const Block& block : model.blocks()) {
    add_layers(model, costs, static_cast<std::size_t>(block.first),
               static_cast<std::size_t>(block.last), rows);
    rows.add({block.name, "block", ""}, model.instances(block.first), costs.block(block));
  }
  rows.add({"total", "", ""}, 0, costs.total());
  const std::string sample =
      reads_tokens(model) ? fmt::format("one sample of {} tokens", lengths.source) : "one sample";
  return fmt::format(
      "{}: {}\n\n{}\nFLOPs and bytes are for {} in fp32; {}traffic counts every input read once "
      "and "
      "every output written once.\n",
      model.name(), model.source(), rows.text(), sample,
      model.flat() ? "" : "what repeats is shown once and counted in the total; ");
}

nlohmann::ordered_json model_json(const OpGraph& model, const SequenceLengths& lengths) {
  const Costs costs(model, lengths);
  const std::size_t last = model.size() - 1;
  Json layers = Json::array();
  for (std::size_t i = 0; i < last; ++i) layers.push_back(layer_json(model, costs, i));
  const LayerCost total = costs.total();
  return {{"kind", "model"},
          {"name", model.name()},
          {"source", model.source()},
          {"input_features", model.input_features()},
          {"classes", model.classes()},
          {"dtype", "fp32"},
          {"tokens", reads_tokens(model) ? Json(lengths.source) : Json(nullptr)},
          {"parameters", total.parameters},
          {"blocks", blocks_json(model, costs)},
          {"layers", std::move(layers)},
          {"loss", layer_json(model, costs, last)},
          {"total_per_sample", cost_json(total)}};
}

}  // namespace foreplan
