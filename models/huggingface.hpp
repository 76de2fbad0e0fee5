#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/transformer.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {

/// The shape of the network that a Hugging Face `config.json` describes, read as it is: keys that say nothing
/// about the shape are passed over, those left out take the library's own default, and the sizes that make the
/// network (docs/models.md lists them by family) must be there.
/// @throws Error(invalid_argument) in one line with file and place: an unknown `model_type` or a missing key
///   (both list what is known), a value of the wrong type, sizes that do not fit each other
TransformerShape huggingface_shape(JsonObject config, const std::string& name);

/// The network itself.
OpGraph huggingface_graph(JsonObject config, const std::string& name);

/// The families that are known, in order of the alphabet.
std::vector<std::string_view> huggingface_model_types();

/// The keys that a config of this family must have, each with its other names behind it ("n_embd or
/// hidden_size"). Empty for an unknown family.
std::vector<std::string> huggingface_keys(std::string_view model_type);

}  // namespace foreplan
