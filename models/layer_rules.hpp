#pragma once

#include <cstdint>
#include <vector>

#include "models/layer.hpp"

namespace foreplan {

/// Whether a row of the output is made of the same row of each input.
bool keeps_rows(LayerKind kind);

/// Whether the output is as wide as the first input.
bool keeps_width(LayerKind kind);

/// The sizes of a layer's shape that count something; none where the kind has no such shape.
std::vector<std::int64_t> counts_of(const LayerShape& shape);

}  // namespace foreplan
