#pragma once

#include <cstdint>

#include "models/op_graph.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// The weights that training starts from: a function of seed, tensor and element alone, so that
/// every strategy starts from the same.
///
/// A weight [k, n] is uniform in [-a, a] with a = sqrt(6 / k) before a relu or gelu, which halves
/// the variance, and sqrt(3 / k) elsewhere: outputs keep the variance of the inputs. Biases and
/// shifts are 0, gains 1.
/// Source: He et al., ICCV 2015, section 2.2.
Tensors initial_weights(const OpGraph& model, std::uint64_t seed);

/// All zeros, in the shapes of the model's parameters.
Tensors zero_tensors(const OpGraph& model);

}  // namespace foreplan
