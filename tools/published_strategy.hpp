#pragma once

#include <string>
#include <vector>

#include "models/optimizer.hpp"
#include "models/published.hpp"
#include "planner/strategy.hpp"
#include "sim/op.hpp"
#include "tools/published_tables.hpp"

namespace foreplan {

/// The layout that a row tells, recomputation left out; docs/published.md has the rules. What was assumed
/// is added to `assumed`.
/// @throws Error(invalid_argument) naming the field that is missing or contradicts others
Strategy published_strategy(const PublishedRow& row, const PublishedSource& facts,
                            std::vector<std::string>& assumed);

/// As the row tells; as its source does where the row tells nothing, or in words that no strategy has. Empty: so
/// does the source.
std::optional<Recompute> published_recompute(const PublishedRow& row, const PublishedSource& facts);

/// @throws Error(invalid_argument) for formats that foreplan has not
DType published_precision(const PublishedRow& row);

Optimizer published_optimizer(const PublishedRow& row, std::vector<std::string>& assumed);

}  // namespace foreplan
