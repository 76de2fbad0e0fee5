#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "models/op_graph.hpp"

namespace foreplan {

/// The lengths at which a model is shown: `tokens` for its sequences, source and target; 0: 2048, or as many
/// as its longest table of positions has where that is less.
/// @throws Error(invalid_argument) if `tokens` > 0 and the model reads none
SequenceLengths lengths_to_show(const OpGraph& model, std::int64_t tokens);

/// A table for people: each layer of each block with how often it stands, each block, and the total.
std::string describe(const OpGraph& model, const SequenceLengths& lengths);

/// The same as JSON.
nlohmann::ordered_json model_json(const OpGraph& model, const SequenceLengths& lengths);

}  // namespace foreplan
