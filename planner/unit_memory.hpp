#pragma once

#include <vector>

#include "planner/sharding.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Fills in what a rank keeps of a unit for backward, and what it needs while it is at work: `items`, `saved`,
/// `saved_selectively`, `entering`, `entering_saved`, `working`.
///
/// Beside layers' outputs and gradients (planner/working_set.hpp) a layer at work has
///
///   sequence parallel   what it gathers (forward, and backward for the weights), what it will scatter
///   attention, fused    backward: the gradient of the queries summed in fp32
///   attention, not      forward: the scores; backward: their gradient and that of the probabilities
///   loss                logits in fp32 (in_place, torch); backward, torch: two gradients of them in fp32
///   products, tables    backward: the gradient of the weights, unless accumulation is fused
///
/// Sources: Korthikanti et al., arXiv:2205.05198, section 4.2; Dao, FlashAttention-2, arXiv:2307.08691, section
/// 3.1; PyTorch, aten/src/ATen/native/LossNLL.cpp.
/// @param shardings  by layer of the model
void add_memory(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
                const std::vector<Sharding>& shardings, UnitWork& work);

}  // namespace foreplan
