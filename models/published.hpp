#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace foreplan {

/// How far a row of measurements can be relied on. Low: for nothing that passes or fails. Analytic: the
/// value of a formula that was published, no measurement.
enum class Trust : std::uint8_t { high, medium, low, analytic };
std::string_view name(Trust trust);

/// Of a mixture of experts, as its publication tells.
struct PublishedExperts {
  std::optional<std::int64_t> experts, shared_experts, top_k;
  std::optional<std::int64_t> features;      ///< inside an expert
  std::optional<std::int64_t> dense_layers;  ///< without experts, from the input on
  std::optional<double> active_parameters;
  std::string interleave;  ///< which layers have experts, in words; empty: not told
  std::string attention;   ///< sizes of latent attention, in words; empty: not told
};

/// What a number of memory counts.
enum class PublishedMemory : std::uint8_t {
  allocated,  ///< tensors: torch.cuda.max_memory_allocated
  reserved,   ///< what the caching allocator holds: torch.cuda.max_memory_reserved
  device,     ///< all that the device's memory holds: nvidia-smi
};

/// One measured training run that others published: what was trained, on what, how it was laid out, and
/// what came out. A number that is not told, null in the file, is empty and never guessed; so is a text.
struct PublishedRow {
  struct Model {
    std::string kind;  ///< gpt, llama, moe, bert, cnn, ...
    std::string name;
    std::optional<double> parameters;
    std::optional<std::int64_t> layers, hidden, heads, kv_heads, head_features, mlp_features;
    std::optional<bool> gated_mlp;
    std::optional<std::int64_t> vocabulary, sequence;
    std::optional<PublishedExperts> experts;
    std::string shape_source;
  };
  struct Hardware {
    std::string gpu;
    std::optional<std::int64_t> gpu_memory_gb;
    std::int64_t gpus_per_node = 1;
    std::optional<std::int64_t> gpus;
    std::string interconnect;
  };
  struct Training {
    std::optional<std::int64_t> global_batch;  ///< samples
    std::optional<std::int64_t> micro_batch;   ///< samples
    std::optional<std::int64_t> accumulation;  ///< micro-batches of a rank, a step
    std::string precision;
    std::string optimizer;
  };
  struct Parallel {
    std::optional<std::int64_t> tp, pp, dp, cp, ep, vpp;
    std::optional<bool> sp;
    std::optional<std::int64_t> zero_stage, fsdp_shard_size;
    std::string recompute, schedule;
  };
  struct Measured {
    std::optional<double> step_time_s, tflops_per_gpu;
    std::string tflops_convention;  ///< which FLOPs were counted
    std::optional<double> mfu, hfu;
    std::optional<double> tokens_per_s_per_gpu, tokens_per_s, samples_per_s;
    std::optional<double> memory_gb;
    std::string memory_kind;  ///< what the memory number is
  };
  /// What follows from the rest by arithmetic.
  struct Derived {
    std::optional<std::int64_t> microbatches_per_step;
    std::optional<double> step_time_s;
    std::string step_time_method;
    std::optional<double> model_tflops_per_gpu_full_attention, mfu_vs_dense_bf16_peak;
  };

  std::string id, source;
  bool recalled = false;  ///< written down from memory, not read
  std::string source_kind;
  Trust trust = Trust::low;
  Model model;
  Hardware hardware;
  Training training;
  Parallel parallel;
  Measured measured;
  Derived derived;
  std::string notes, provenance_note;
  std::string regime;          ///< "launch-bound (MFU<10%)", ...
  bool out_of_memory = false;  ///< the run did not fit

  /// Seconds of a step: as measured, else as it follows from the published throughput.
  std::optional<double> step_time_s() const {
    return measured.step_time_s ? measured.step_time_s : derived.step_time_s;
  }
  /// What `measured.memory_gb` is in bytes: where the kind says GiB, or nvidia-smi (which counts MiB), 2^30
  /// each; else 10^9.
  std::optional<std::int64_t> measured_bytes() const;
  /// As `measured.memory_kind` says: device where it names nvidia-smi, reserved where it says so, else
  /// allocated.
  PublishedMemory memory_kind() const;
};

/// Reads rows in the format of models/published (docs/published.md has its keys).
/// @throws Error(invalid_argument) naming file and place for a key that is unknown, missing or out of
///   range, and for an id that stands twice
std::vector<PublishedRow> read_published(const std::filesystem::path& path);

}  // namespace foreplan
