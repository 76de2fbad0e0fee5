#pragma once

#include <cstdint>
#include <string>

#include "models/kernel_features.hpp"
#include "sim/op.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Where a stage waits until what it sends to another has arrived.
enum class Blocking : std::uint8_t {
  never,
  plain,  ///< in schedules that are not interleaved
  always,
};

/// The software that trains, by what it does: features, not efficiencies.
struct Stack {
  std::string name = "default";
  bool fused_attention = true;      ///< scores are never stored
  bool overlap_gradients = true;    ///< buckets of gradients are reduced beside backward
  bool overlap_parameters = false;  ///< zero 1, 2: gathered beside the next step's forward
  bool overlap_tensor = true;       ///< backward: exchanges of tp beside the weights' gradients
  bool pipeline_tensor = false;  ///< exchanges of tp in parts, each beside another part's product
  Blocking messages_block = Blocking::never;  ///< between stages
  bool gather_again = false;  ///< zero 3: for a forward that repeats, and again for its backward
  bool prefetch_parameters = true;  ///< zero 3: a unit's are gathered beside the unit before
  bool dispatch_once =
      false;  ///< experts: a row goes to each node once (hierarchical dispatch, DeepEP)
  bool clip_gradients = true;  ///< the norm of all gradients is known before the optimizer runs
  bool scatter_activations =
      true;                     ///< pipeline: each rank of tp sends its part, the receivers gather
  int gradient_bytes = 4;       ///< of a number, as they are accumulated and reduced
  bool master_weights = true;   ///< fp32 weights beside those of 16 bits and less
  Bytes first_bucket{1 << 20};  ///< of gradients; PyTorch's own
  Bytes bucket{25 << 20};       ///< of the others
  /// For each rank that holds the same parameters; where the product is more than `bucket`, that is the size
  /// of all buckets, so that rings of many ranks stay bound by bandwidth.
  Bytes bucket_per_rank{};
  /// What a process takes of its device's memory beside tensors: the CUDA context, loaded kernels,
  /// communicators' buffers. In no peak and no reserved figure, but a device must have room for it; 0: nobody
  /// told, measure it as what nvidia-smi shows beyond torch.cuda.memory_reserved.
  Bytes context_bytes{};
  KernelFeatures kernels{};
  /// Of the thread that hands out a device's kernels: for each, its framework's work included; 0: it never
  /// keeps a device waiting (CUDA graphs).
  Duration host_launch{};
  Duration host_step{};  ///< of a step, while devices wait: samples, logging, the scaler of losses
  std::string source{};

  /// Whether parameters of `precision` have a copy in fp32.
  bool keeps_master(DType precision) const {
    return master_weights && element_size(precision).count < 4;
  }
};

}  // namespace foreplan
