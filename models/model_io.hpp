#pragma once

#include <filesystem>
#include <string>

#include "models/op_graph.hpp"

namespace foreplan {

/// Reads a `foreplan.model/1` file: `name`, optional `source`, `input{features}`, `layers[{name,
/// type, inputs?, ...}]` in topological order, where `inputs` names earlier layers or "input" and
/// is the layer before by default. linear has `out_features` (and optionally `in_features`,
/// checked, and `bias`, true); the others take their width from their input. `loss` is
/// "softmax_cross_entropy"; it becomes the graph's last layer, named "loss". Also reads what
/// huggingface_model does.
/// @throws Error(invalid_argument) naming file and place
OpGraph read_model(const std::filesystem::path& path);

/// The same as text, to write a model.
std::string to_json(const OpGraph& graph);

}  // namespace foreplan
