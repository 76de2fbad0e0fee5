#pragma once

#include <vector>

#include "planner/sharding.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Makes of a unit's ops, one a layer and pass, what the stack's kernels do:
///
///   each op        execute_as(KernelFeatures)
///   projections    linears [m, k, n_i] that read one tensor, of experts too, become one, [m, k, sum n_i], in
///                  every pass (fused_projections)
///   joins          a tensor that r layers read, merged ones counted once, gets r gradients: r - 1 `add` of its
///                  numbers backward
///   accumulation   of p parameters, s bytes each, in sums of a bytes: the product writes no gradient but reads and
///                  writes the sum, 2 a p bytes for s p; not fused: a kernel behind it that moves (s + 2 a) p
///   recomputation  the unit's last product and what is added behind it are not computed again (stops_recomputing)
///
/// What the runtime can run (is_executable) gets the first alone: its kernels are known.
/// @param shardings  by layer of the model
/// Sources: Shoeybi et al., arXiv:1909.08053, section 3 (query, key and value as one product); Korthikanti et al.,
/// arXiv:2205.05198 and NVIDIA/Megatron-LM, megatron/core/tensor_parallel/layers.py (gradient accumulation
/// fusion); torch.utils.checkpoint, set_checkpoint_early_stop.
void execute_unit(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
                  const std::vector<Sharding>& shardings, UnitWork& work);

}  // namespace foreplan
