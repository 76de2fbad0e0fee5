#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/op_graph.hpp"
#include "runtime/dataset.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// The class that a model finds likeliest for each sample, by the host's kernels on the calling
/// thread; of equals the first.
/// @param samples  [rows, input_features]
/// @throws Error(invalid_argument) if the samples are no whole number of rows
std::vector<std::int32_t> predict(const OpGraph& model, const Tensors& weights,
                                  std::span<const float> samples);

/// The share of `data` whose label is what the model predicts.
/// @throws Error(invalid_argument) if the data does not fit the model or is empty
double accuracy(const OpGraph& model, const Tensors& weights, const Dataset& data);

/// @throws Error(invalid_argument) unless `data` has samples, the model's features and no more than
///   its classes
void check_fits(const Dataset& data, const OpGraph& model);

}  // namespace foreplan
