#pragma once

#include <filesystem>

#include "models/op_graph.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// A training run in one file: magic and version, length and checksum of the rest, then the name of
/// the model and of the optimizer, the step, the shapes, and every tensor as fp32. Integers and
/// numbers are little-endian. It does not depend on the strategy.
///
/// Written to a temporary name and renamed: `path` is the old file or the whole new one.
/// @throws Error(invalid_argument) if the state is not one of the model
/// @throws Error(failed) if it cannot be written
void save_checkpoint(const std::filesystem::path& path, const OpGraph& model, Optimizer optimizer,
                     const TrainingState& state);

/// Reads what `save_checkpoint` wrote for this model and optimizer.
/// @throws Error(invalid_argument) in one line that names the file if it is missing, no checkpoint,
///   damaged, of another version, model, optimizer or shape
TrainingState load_checkpoint(const std::filesystem::path& path, const OpGraph& model,
                              Optimizer optimizer);

}  // namespace foreplan
