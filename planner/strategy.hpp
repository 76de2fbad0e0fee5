#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/op_graph.hpp"
#include "planner/rank_order.hpp"

namespace foreplan {

/// In which order the stages of a pipeline work on their micro-batches; see docs/schedules.md.
enum class Schedule : std::uint8_t {
  gpipe,        ///< all forward, then all backward; Huang et al., GPipe, NeurIPS 2019
  one_f_one_b,  ///< one forward, one backward; Narayanan et al., PipeDream, SOSP 2019
  interleaved,  ///< 1F1B over vpp chunks a stage; Narayanan et al., Megatron-LM, SC 2021
  zb_h1,        ///< 1F1B, backward split, no more memory; Qi et al., Zero Bubble, ICLR 2024
  zb_h2,        ///< backward split, no bubble, twice the memory; the same
  zb_v,         ///< two chunks a stage, there and back; Qi et al., Controllable Memory, 2024
  dualpipe,     ///< two pipelines in opposite directions; DeepSeek-V3 report, section 3.2.1
};
inline constexpr std::array kSchedules{
    Schedule::gpipe, Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_h1,
    Schedule::zb_h2, Schedule::zb_v,        Schedule::dualpipe};
std::string_view name(Schedule schedule);

enum class Recompute : std::uint8_t { none, selective, full };
inline constexpr std::array kRecomputes{Recompute::none, Recompute::selective, Recompute::full};
std::string_view name(Recompute recompute);

/// What lies in the host's memory while it is not in use.
enum class Offload : std::uint8_t { none, optimizer, activations, all };
inline constexpr std::array kOffloads{Offload::none, Offload::optimizer, Offload::activations,
                                      Offload::all};
std::string_view name(Offload offload);

/// How replicas come by their parameters and agree on gradients.
enum class Replication : std::uint8_t {
  ddp,           ///< each keeps its own; buckets of gradients are all-reduced; Li et al., VLDB 2020
  dataparallel,  ///< PyTorch's DataParallel: device 0 scatters, broadcasts, gathers, reduces each step
};
inline constexpr std::array kReplications{Replication::ddp, Replication::dataparallel};
std::string_view name(Replication replication);

/// How a training step is laid out over devices; which device does what: RankLayout. Of data-parallel rank d and
/// branch rank b: device b + bp d.
struct Strategy {
  int dp = 1;   ///< data-parallel ranks: each takes an equal share of the global batch
  int tp = 1;   ///< ranks that share each layer: W cut by columns, then by rows
  int pp = 1;   ///< stages
  int vpp = 1;  ///< chunks a stage; with 1F1B more than one is interleaved
  int cp = 1;
  int ep = 1;
  int bp = 1;  ///< devices that share a replica's layers, branches that stand side by side apart
  RankOrder order{};  ///< which ranks are neighbours
  /// Samples a rank works on at a time. Empty: its whole share of the global batch.
  std::optional<std::int64_t> micro_batch{};
  int zero = 0;
  bool sp = false;
  Recompute recompute = Recompute::none;
  /// full: so many layers of each virtual stage are recomputed, its first ones. Empty: all.
  std::optional<int> recompute_layers{};
  Offload offload = Offload::none;
  Replication replication = Replication::ddp;
  Schedule schedule = Schedule::one_f_one_b;
  /// Layers before this one are shared by samples over the ranks of dp, this one and those behind it by
  /// features (planner/layer_split.hpp). 0: all by samples.
  int split_from = 0;
  /// Layers of each stage, of each virtual stage where these have chunks, the loss not counted. Empty: the
  /// planner's choice.
  std::vector<int> layers{};

  int devices() const { return dp * tp * pp * cp * bp; }
  /// Whether experts are dealt whole over the ranks of tp, cp and dp, rather than cut by tp and dealt over
  /// those of cp and dp: where ep does not divide these.
  bool deals_whole_experts() const { return ep > 1 && std::int64_t{cp} * dp % ep != 0; }
  friend auto operator<=>(const Strategy&, const Strategy&) = default;
};

/// Reads "dp=2,tp=1,micro_batch=16,schedule=gpipe,layers=4+3"; keys left out keep their default. An
/// empty text is one device.
/// @throws Error(invalid_argument) naming the key or value that is not understood
Strategy parse_strategy(std::string_view text);

/// The keys that differ from one device's, in the order of the struct: "dp=2,micro_batch=16"; "dp=1"
/// where none does.
std::string format(const Strategy& strategy);

/// More than anybody trains with; beyond it sizes and graphs grow past what can be counted and held.
inline constexpr std::int64_t kMostGlobalBatch = 1'000'000'000;
inline constexpr std::int64_t kMostMicroBatches = 4096;  ///< of a rank, a step

/// How a rank's work is cut.
struct BatchSplit {
  std::int64_t share = 0;          ///< samples of a data-parallel rank
  std::int64_t micro_batch = 0;    ///< samples at a time
  std::int64_t micro_batches = 0;  ///< share / micro_batch
};

/// @throws Error(invalid_argument) if dp does not divide the global batch, or the micro-batch its
///   share; or if these are more than the above
BatchSplit split_batch(const Strategy& strategy, std::int64_t global_batch);

/// Whether strategies of this kind are lowered to tasks that the runtime runs; others are forecast only.
bool can_run(const Strategy& strategy);

/// Refuses what cannot be laid out.
/// @param devices  how many there are
/// @throws Error(invalid_argument) with the reason: a model that cannot be run, more devices than there are, sizes that do not
///   divide, more stages than layers, layers that do not add up, or a kind that is not supported
void check(const Strategy& strategy, const OpGraph& model, int devices, std::int64_t global_batch);

}  // namespace foreplan
