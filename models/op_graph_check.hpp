#pragma once

#include "models/op_graph.hpp"

namespace foreplan {

/// Checks what OpGraph's constructors promise.
/// @throws Error(invalid_argument) naming model and layer
void check_op_graph(const OpGraphParts& parts);

}  // namespace foreplan
