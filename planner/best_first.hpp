#pragma once

#include "planner/search.hpp"

namespace foreplan {

/// plan() in the whole StrategySpace. @param devices  to use at most
Plan best_first(const Task& task, const SearchOptions& options, int devices);

/// plan() in strategy_space(): simulates everything.
Plan search_runnable(const Task& task, const SearchOptions& options, int devices);

}  // namespace foreplan
