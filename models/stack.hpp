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

/// How the loss makes its gradient from logits, and what lies in memory for it.
enum class LossKernel : std::uint8_t {
  in_place,  ///< probabilities in fp32, which become the gradient (Megatron-LM's vocab_parallel_cross_entropy)
  torch,  ///< log-probabilities in fp32, and the gradients of those and of logits in fp32 (PyTorch's)
  /// The logits are kept, in their format, and the gradient is made of them (FlashAttention's cross entropy;
  /// torch.compile).
  logits,
  fused,  ///< the gradient takes the place of the logits, in their format (Transformer Engine, Liger)
};

/// What selective recomputation computes anew.
enum class SelectiveRecompute : std::uint8_t {
  attention,  ///< the core of attention (Korthikanti et al., arXiv:2205.05198, section 5)
  /// All but attention and the outputs of the first, third, fifth, ... product (torchtitan's "op" option,
  /// torchtitan/parallelisms/parallelize_llama.py at b5bcd76c66).
  operations,
};

/// How numbers are scaled before they are cast to fp8.
enum class Fp8Scaling : std::uint8_t {
  delayed,  ///< by what earlier steps showed, or by small blocks: one pass makes both casts
  tensor,   ///< by the largest of the tensor, for which it is read before
  rows,  ///< by the largest of each row of a product, along the other side another: each cast is made apart
};

/// How far the thread that hands out kernels gets.
enum class HostPace : std::uint8_t {
  ahead,        ///< of the device, unless it is slower over a whole pass of a unit
  starts_idle,  ///< as far, but each pass begins with an idle device: layers that are timed one by one
  waits,        ///< for each kernel to end (CUDA_LAUNCH_BLOCKING=1)
};

/// The software that trains, by what it does: features, not efficiencies.
struct Stack {
  std::string name = "default";
  bool fused_attention = true;      ///< scores are never stored
  bool overlap_gradients = true;    ///< buckets of gradients are reduced beside backward
  bool overlap_parameters = false;  ///< zero 1, 2: gathered beside the next step's forward
  bool overlap_tensor = true;       ///< backward: exchanges of tp beside the weights' gradients
  /// Context parallelism: a rank has all of a sequence in its part of the heads while attention is at work
  /// (DeepSpeed-Ulysses, Megatron's cp_comm_type a2a); else keys and values go around in a ring.
  bool context_heads = false;
  /// With sp: what is gathered along the sequence is copied out of the ranks' pieces, what is reduced into them
  /// (functional collectives of PyTorch along any dimension but the first).
  bool copies_sequence = false;
  bool pipeline_tensor = false;  ///< exchanges of tp in parts, each beside another part's product
  Blocking messages_block = Blocking::never;  ///< between stages
  /// Rows travel to experts and back beside the work of another micro-batch, forward beside backward.
  bool overlap_experts = false;
  /// Zero 3: parameters are copied out of what was gathered (FSDP2, split_with_sizes_copy).
  bool copies_parameters = false;
  /// Zero 2, 3: gradients are copied into one piece before they are reduced (FSDP2's chunk_cat; the backward of the
  /// views of FSDP1's flat parameter).
  bool copies_gradients = false;
  bool gather_again = false;  ///< zero 3: for a forward that repeats, and again for its backward
  bool prefetch_parameters = true;  ///< zero 3: a unit's are gathered beside the unit before
  bool dispatch_once =
      false;  ///< experts: a row goes to each node once (hierarchical dispatch, DeepEP)
  bool clip_gradients = true;  ///< the norm of all gradients is known before the optimizer runs
  bool scatter_activations =
      true;                    ///< pipeline: each rank of tp sends its part, the receivers gather
  int gradient_bytes = 4;      ///< of a number, as they are accumulated and reduced
  bool master_weights = true;  ///< fp32 weights beside those of 16 bits and less
  LossKernel loss = LossKernel::in_place;
  SelectiveRecompute selective = SelectiveRecompute::attention;
  Fp8Scaling fp8_scaling = Fp8Scaling::delayed;
  bool fp8_gathers =
      false;  ///< with sp: what fp8 products read is cast before it is gathered forward
  bool cached_fp8_weights = true;  ///< fp8: weights are cast once a step and both copies stay
  bool saved_fp8_inputs = true;    ///< fp8: products keep their inputs as they multiplied them
  bool fp8_parameters = false;  ///< fp8: cached casts are all that there is of a product's weights
  /// Parameters lie in fp32 alone and are cast where they are used (FSDP's mixed precision): there is no
  /// copy of 16 bits beside what is gathered, and no other master.
  bool fp32_parameters = false;
  /// Where weights' gradients are not stored apart (`kernels.fused_accumulation`), autograd gets a tensor of
  /// their shape and format that nobody fills, one that stays for each of a layer's products (Transformer
  /// Engine, get_dummy_wgrad).
  bool placeholder_gradients = false;
  /// The gradients of a micro-batch stay beside the accumulated ones, in the parameters' format, until
  /// the next backward (DeepSpeed's BF16_Optimizer; buckets of torch's DistributedDataParallel).
  bool micro_batch_gradients = false;
  /// Zero 1 and 2: the optimizer works on a copy in fp32 of the gradients of a rank's own parameters
  /// (DeepSpeed's stage_1_and_2).
  bool fp32_gradient_shard = false;
  /// Pipeline: stages share the weights of learned products evenly, the head's among them, not the layers.
  bool weighed_stages = false;
  Bytes first_bucket{1 << 20};  ///< of gradients; PyTorch's own
  Bytes bucket{25 << 20};       ///< of the others
  /// For each rank that holds the same parameters; where the product is more than `bucket`, that is the size
  /// of all buckets, so that rings of many ranks stay bound by bandwidth.
  Bytes bucket_per_rank{};
  /// Zero 1 and 2: updated parameters are gathered by way of a buffer of at most this; 0: in place.
  Bytes gather_buffer{};
  Bytes
      reduce_buffer{};  ///< in which gradients are collected to be reduced; 0: they lie in one piece
  /// What a process takes of its device's memory beside tensors: the CUDA context, loaded kernels,
  /// communicators' buffers. In no peak and no reserved figure, but a device must have room for it; 0: nobody
  /// told, measure it as what nvidia-smi shows beyond torch.cuda.memory_reserved.
  Bytes context_bytes{};
  KernelFeatures kernels{};
  /// Of the thread that hands out a device's kernels: for each, its framework's work included; 0: it never
  /// keeps a device waiting (CUDA graphs).
  Duration host_launch{};
  HostPace host_pace = HostPace::ahead;
  Duration host_step{};  ///< of a step, while devices wait: samples, logging, the scaler of losses
  std::string source{};

  /// Whether parameters of `precision` have a copy in fp32.
  bool keeps_master(DType precision) const {
    return master_weights && !fp32_parameters && element_size(precision).count < 4;
  }
  /// Of what parameters are stored in between steps, where they are used as `precision`.
  DType stored(DType precision) const { return fp32_parameters ? DType::fp32 : precision; }
};

}  // namespace foreplan
