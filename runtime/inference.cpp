#include "runtime/inference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "runtime/host_kernels.hpp"
#include "runtime/host_thread.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kRows = 256;

/// The forward pass of a model over a fixed number of rows.
class ForwardPass {
 public:
  ForwardPass(const OpGraph& model, const Tensors& weights, std::int64_t rows)
      : model_(model), weights_(weights), rows_(rows) {
    outputs_.emplace_back(static_cast<std::size_t>(rows * model.input_features()));
    statistics_.resize(static_cast<std::size_t>(2 * rows));
    // The last layer is the loss; its input are the scores.
    for (std::size_t i = 0; i + 1 < model.size(); ++i) add(LayerId{static_cast<std::int32_t>(i)});
  }

  std::span<const float> scores(std::span<const float> samples) {
    std::copy(samples.begin(), samples.end(), outputs_[0].begin());
    for (const auto& call : calls_) call->run({});
    return outputs_[slot(model_.inputs(LayerId{static_cast<std::int32_t>(model_.size() - 1)})[0])];
  }

 private:
  static std::size_t slot(LayerId layer) {
    return static_cast<std::size_t>(static_cast<int>(layer) + 1);
  }

  static const std::byte* bytes(const std::vector<float>& values) {
    return reinterpret_cast<const std::byte*>(values.data());
  }
  static std::byte* bytes(std::vector<float>& values) {
    return reinterpret_cast<std::byte*>(values.data());
  }

  OpKey key_of(const Layer& layer) const {
    const std::int64_t k = layer.in_features, n = layer.out_features;
    switch (layer.kind) {
      case LayerKind::linear:
        return {.op = layer.bias ? "linear" : "matmul", .shape = {rows_, k, n}};
      case LayerKind::layer_norm:
        return {.op = "layer_norm", .shape = {rows_, n}};
      case LayerKind::relu:
      case LayerKind::gelu:
      case LayerKind::add:
        return {.op = std::string(name(layer.kind)), .shape = {rows_ * n}};
      default:
        reject(fmt::format("{}: cannot be run inside a model", layer.name));
    }
  }

  void add(LayerId id) {
    const Layer& layer = model_.layer(id);
    outputs_.emplace_back(static_cast<std::size_t>(rows_ * layer.out_features));
    std::vector<const std::byte*> reads;
    for (const LayerId input : model_.inputs(id)) reads.push_back(bytes(outputs_[slot(input)]));
    for (const std::int32_t parameter : model_.parameters_of(id)) {
      reads.push_back(bytes(weights_[static_cast<std::size_t>(parameter)]));
    }
    std::vector<std::byte*> writes{bytes(outputs_.back())};
    if (layer.kind == LayerKind::layer_norm) writes.push_back(bytes(statistics_));
    const Op op{.key = key_of(layer), .flops = {}, .traffic = {}};
    calls_.push_back(make_host_call(op, std::move(reads), std::move(writes)));
  }

  const OpGraph& model_;
  const Tensors& weights_;
  std::int64_t rows_;
  std::vector<std::vector<float>> outputs_;  ///< of the samples, then by layer
  std::vector<float> statistics_;
  std::vector<std::unique_ptr<HostCall>> calls_;
};

void add_predictions(std::span<const float> scores, std::int64_t classes,
                     std::vector<std::int32_t>& predictions) {
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t first = 0; first < scores.size(); first += width) {
    const auto row = scores.subspan(first, width);
    predictions.push_back(
        static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
}

}  // namespace

std::vector<std::int32_t> predict(const OpGraph& model, const Tensors& weights,
                                  std::span<const float> samples) {
  const auto width = static_cast<std::size_t>(model.input_features());
  if (samples.size() % width != 0) {
    reject(fmt::format("{}: expected rows of {} features, got {} numbers", model.name(), width,
                       samples.size()));
  }
  const SingleThreadedOpenMp single;
  std::vector<std::int32_t> predictions;
  std::unique_ptr<ForwardPass> pass;
  std::size_t rows = 0;
  while (!samples.empty()) {
    const std::size_t count = std::min(static_cast<std::size_t>(kRows), samples.size() / width);
    if (count != std::exchange(rows, count)) {
      pass = std::make_unique<ForwardPass>(model, weights, static_cast<std::int64_t>(count));
    }
    add_predictions(pass->scores(samples.first(count * width)), model.classes(), predictions);
    samples = samples.subspan(count * width);
  }
  return predictions;
}

double accuracy(const OpGraph& model, const Tensors& weights, const Dataset& data) {
  check_fits(data, model);
  const std::vector<std::int32_t> predictions = predict(model, weights, data.samples);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < predictions.size(); ++i) right += predictions[i] == data.labels[i];
  return static_cast<double>(right) / static_cast<double>(data.size());
}

void check_fits(const Dataset& data, const OpGraph& model) {
  if (data.size() == 0) reject("the data has no samples");
  if (data.features != model.input_features()) {
    reject(fmt::format("{}: expected data with {} features, got {}", model.name(),
                       model.input_features(), data.features));
  }
  if (data.classes > model.classes()) {
    reject(fmt::format("{}: expected data with at most {} classes, got {}", model.name(),
                       model.classes(), data.classes));
  }
}

}  // namespace foreplan
