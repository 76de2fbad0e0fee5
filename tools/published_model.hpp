#pragma once

#include <string>

#include "models/op_graph.hpp"
#include "models/published.hpp"
#include "tools/published_tables.hpp"

namespace foreplan {

/// The network of a row, from its shape; of a name that no shape tells, from the zoo.
///
/// kind gpt: norms with gain and shift, biases, GELU, a table of positions, tied head (Nemotron: rotary
/// positions, no biases, untied); llama and moe: RMS norms, rotary positions, a gated MLP or experts,
/// untied; bert: masked words and sentence pairs. What a source does otherwise stands in `facts`.
/// @param tp  ranks that share the vocabulary, which is padded or cut for them as the source does
/// @throws Error(invalid_argument) naming the field that is missing, or the kind that is not known
OpGraph published_model(const PublishedRow& row, const PublishedSource& facts,
                        const PublishedSources& sources, int tp);

}  // namespace foreplan
