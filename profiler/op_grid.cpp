#include "profiler/op_grid.hpp"

#include <cstdint>
#include <set>

namespace foreplan {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kVocabulary = 51200;  // GPT-2's 50257, padded to a multiple of 1024

/// The lengths that a grid is made of.
struct Axes {
  std::vector<std::int64_t> hidden, tp, tokens;
  std::vector<std::int64_t> mlp_widths, mlp_batches;
  std::int64_t vocabulary = kVocabulary;
};

Axes axes_of(GridSize size, DType dtype) {
  if (size == GridSize::tiny) {
    return {.hidden = {16},
            .tp = {2},
            .tokens = {8},
            .mlp_widths = {8},
            .mlp_batches = {4},
            .vocabulary = 64};
  }
  if (size == GridSize::quick) {
    return {.hidden = {1024, 4096},
            .tp = {1, 4},
            .tokens = {2048},
            .mlp_widths = {128, 1024},
            .mlp_batches = {32, 256}};
  }
  const bool slow = dtype == DType::fp32 || dtype == DType::tf32;
  return {.hidden = {768, 1024, 2048, 2560, 4096, 5120, 7168, 8192},
          .tp = {1, 2, 4, 8},
          .tokens = slow ? std::vector<std::int64_t>{2048} : std::vector<std::int64_t>{2048, 8192},
          .mlp_widths = {128, 256, 512, 1024},
          .mlp_batches = {16, 32, 64, 128, 256}};
}

void add_transformer(const Axes& axes, std::set<Shape>& shapes) {
  for (const std::int64_t h : axes.hidden) {
    for (const std::int64_t t : axes.tp) {
      for (const std::int64_t m : axes.tokens) {
        shapes.insert({{m, h, 3 * h / t},
                       {m, h / t, h},
                       {m, h, 4 * h / t},
                       {m, 4 * h / t, h},
                       {m, h, axes.vocabulary / t}});
      }
    }
  }
}

void add_mlps(const Axes& axes, std::set<Shape>& shapes) {
  for (const std::int64_t m : axes.mlp_batches) {
    for (const std::int64_t k : axes.mlp_widths) {
      for (const std::int64_t n : axes.mlp_widths) shapes.insert({m, k, n});
    }
  }
}

/// Adds the passes that an op has.
void add(std::vector<OpKey>& keys, const char* op, Shape shape, DType dtype,
         const std::vector<Pass>& passes) {
  for (const Pass pass : passes) {
    keys.push_back({.op = op, .pass = pass, .shape = shape, .dtype = dtype});
  }
}

}  // namespace

std::vector<OpKey> product_grid(DType dtype, GridSize size) {
  const Axes axes = axes_of(size, dtype);
  std::set<Shape> shapes;
  add_transformer(axes, shapes);
  add_mlps(axes, shapes);
  std::vector<OpKey> keys;
  for (const Shape& shape : shapes) {
    add(keys, "linear", shape, dtype, {Pass::forward, Pass::backward_input, Pass::backward_weight});
  }
  return keys;
}

std::vector<OpKey> other_grid(DType dtype, GridSize size) {
  if (dtype == DType::tf32) return {};  // a format of products: elsewhere it is fp32
  const Axes axes = axes_of(size, dtype);
  const std::int64_t m = axes.tokens.front();
  const std::vector<Pass> both{Pass::forward, Pass::backward_input};
  const std::vector<Pass> learning{Pass::forward, Pass::backward_input, Pass::backward_weight};
  std::vector<OpKey> keys;
  for (const std::int64_t h : axes.hidden) {
    add(keys, "layer_norm", {m, h}, dtype, learning);
    add(keys, "rms_norm", {m, h}, dtype, learning);
    add(keys, "bias_add", {m, h}, dtype, {Pass::forward, Pass::backward_weight});
    add(keys, "embedding", {m, axes.vocabulary, h}, dtype, {Pass::forward, Pass::backward_weight});
    for (const char* op : {"relu", "gelu"}) add(keys, op, {m * 4 * h}, dtype, both);
    for (const char* op : {"add", "accumulate", "copy"}) {
      add(keys, op, {m * h}, dtype, {Pass::forward});
    }
    if (dtype == DType::fp32) {
      for (const char* op : {"sgd", "adam"}) add(keys, op, {h * h}, dtype, {Pass::optimizer});
    }
  }
  for (const std::int64_t t : axes.tp) {
    add(keys, "softmax_cross_entropy", {m, axes.vocabulary / t}, dtype, both);
    // Scores of 16 heads over m tokens, shared by t ranks.
    add(keys, "softmax", {16 / t * m, m}, dtype, both);
  }
  return keys;
}

std::vector<DType> grid_dtypes() { return {DType::fp32, DType::tf32, DType::fp16, DType::bf16}; }

}  // namespace foreplan
