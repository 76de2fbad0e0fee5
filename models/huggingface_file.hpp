#pragma once

#include <filesystem>
#include <optional>

#include "models/op_graph.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {

/// The network of a document that holds a Hugging Face config: a `config.json` as it is (no "schema", but
/// "model_type"), or a `foreplan.model/1` with the config under "huggingface", beside it `name` and
/// optionally `source` and `published_parameters{count, part, source}`, which the network must have.
/// Empty for any other document.
/// @param path  where the document lies: it may name the network
/// @throws Error(invalid_argument) naming file and place
std::optional<OpGraph> huggingface_model(const JsonDocument& document,
                                         const std::filesystem::path& path);

}  // namespace foreplan
