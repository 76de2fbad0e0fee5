#pragma once

#include <filesystem>
#include <string>

#include "models/op_graph.hpp"

namespace foreplan {

/// Reads a `foreplan.model/1` file: `name`, optional `source`, `input` (`{features}`, an image's
/// `{channels, height, width}` or `{tokens: true}`), `layers[{name, type, inputs?, ...}]` in
/// topological order, where `inputs` names earlier layers or "input" and is the layer before by
/// default. What a layer's keys leave open, widths, heights and rows, is derived from its inputs
/// (models/layer_io.hpp, docs/models.md). `loss` is "softmax_cross_entropy"; it becomes the graph's
/// last layer, named "loss". Reads Hugging Face configs too (models/huggingface_file.hpp).
/// @throws Error(invalid_argument) naming file and place
OpGraph read_model(const std::filesystem::path& path);

/// The same as text, to write a model: reading it gives the same graph.
/// @throws Error(invalid_argument) if a file cannot hold the graph: blocks, experts
std::string to_json(const OpGraph& graph);

}  // namespace foreplan
