#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/op_graph.hpp"

// Small networks for the planner's tests.

namespace foreplan {

/// Writes an OpGraph layer by layer; `build` adds the loss on top of the last layer.
class ModelBuilder {
 public:
  explicit ModelBuilder(std::int64_t features) : features_(features) {}

  LayerId linear(const std::string& name, LayerId input, std::int64_t out, bool bias = true) {
    return add({.name = name,
                .kind = LayerKind::linear,
                .in_features = width(input),
                .out_features = out,
                .bias = bias},
               {input});
  }
  LayerId same_width(const std::string& name, LayerKind kind, std::vector<LayerId> inputs) {
    const std::int64_t features = width(inputs.front());
    return add({.name = name, .kind = kind, .in_features = features, .out_features = features},
               std::move(inputs));
  }
  LayerId relu(const std::string& name, LayerId input) {
    return same_width(name, LayerKind::relu, {input});
  }

  OpGraph build() && {
    const LayerId last{static_cast<std::int32_t>(layers_.size()) - 1};
    add({.name = "loss",
         .kind = LayerKind::softmax_cross_entropy,
         .in_features = width(last),
         .out_features = 1},
        {last});
    return {"test-model", features_, std::move(layers_), std::move(inputs_)};
  }

 private:
  std::int64_t width(LayerId id) const {
    return id == kModelInput ? features_ : layers_[static_cast<std::size_t>(id)].out_features;
  }
  LayerId add(Layer layer, std::vector<LayerId> inputs) {
    layers_.push_back(std::move(layer));
    inputs_.push_back(std::move(inputs));
    return LayerId{static_cast<std::int32_t>(layers_.size()) - 1};
  }

  std::int64_t features_;
  std::vector<Layer> layers_;
  std::vector<std::vector<LayerId>> inputs_;
};

/// Linear layers fc1, fc2, ... of these widths with relu1, relu2, ... between them: {784, 128, 10} is
/// mnist-mlp.
inline OpGraph mlp(const std::vector<std::int64_t>& widths) {
  ModelBuilder builder(widths.front());
  LayerId at = kModelInput;
  for (std::size_t i = 1; i < widths.size(); ++i) {
    if (i > 1) at = builder.relu("relu" + std::to_string(i - 1), at);
    at = builder.linear("fc" + std::to_string(i), at, widths[i]);
  }
  return std::move(builder).build();
}

inline OpGraph mnist_mlp() { return mlp({784, 128, 10}); }

/// enter (width) -> relu -> inner (width) -> sum with enter -> head (2).
inline OpGraph residual(std::int64_t width) {
  ModelBuilder builder(width);
  const LayerId enter = builder.linear("enter", kModelInput, width);
  const LayerId relu = builder.relu("relu", enter);
  const LayerId inner = builder.linear("inner", relu, width);
  const LayerId sum = builder.same_width("sum", LayerKind::add, {inner, enter});
  builder.linear("head", sum, 2);
  return std::move(builder).build();
}

/// Every kind of layer, tensors that two layers read, a linear layer without bias, and samples that two
/// branches read.
inline OpGraph every_kind(std::int64_t width) {
  ModelBuilder builder(width);
  const LayerId left = builder.linear("left", kModelInput, width);
  const LayerId right = builder.linear("right", kModelInput, width, false);
  const LayerId join = builder.same_width("join", LayerKind::add, {left, right});
  const LayerId norm = builder.same_width("norm", LayerKind::layer_norm, {join});
  const LayerId up = builder.linear("up", norm, 2 * width);
  const LayerId gelu = builder.same_width("gelu", LayerKind::gelu, {up});
  const LayerId down = builder.linear("down", gelu, width);
  const LayerId sum = builder.same_width("sum", LayerKind::add, {down, join});
  const LayerId relu = builder.relu("relu", sum);
  builder.linear("head", relu, width / 2);
  return std::move(builder).build();
}

}  // namespace foreplan
