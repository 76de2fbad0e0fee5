#pragma once

#include "planner/pipeline_schedule.hpp"

// The orders behind pipeline_schedule(), for shapes and stages that are already checked.

namespace foreplan {

/// `warm_up` forward, then one forward and one backward in turn, then the backward that are left.
std::vector<PipelineAction> one_f_one_b_order(int micro_batches, int warm_up);

/// Likewise over chunks: forward in groups of p micro-batches, chunk after chunk, backward the same with
/// the chunks in reverse; 2 (p - r - 1) + (v - 1) p forward to warm up.
std::vector<PipelineAction> interleaved_order(const PipelineShape& shape, int stage);

/// 1F1B with the backward of the input only; the gradient of the weights follows `delay` micro-batches
/// later.
std::vector<PipelineAction> zero_bubble_order(int micro_batches, int warm_up, int delay);

std::vector<PipelineAction> zb_v_order(const PipelineShape& shape, int stage);

std::vector<PipelineAction> dualpipe_order(const PipelineShape& shape, int stage);

}  // namespace foreplan
