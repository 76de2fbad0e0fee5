#include "tools/published_forecast.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/number_formats.hpp"
#include "models/stack_io.hpp"
#include "planner/folded_step.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "sim/profile.hpp"
#include "sim/profile_io.hpp"
#include "tools/published_model.hpp"
#include "tools/published_strategy.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

/// GPUs of a domain that one job of several takes: as many as its number divides.
int power_of_two_below(int value) {
  int power = 1;
  while (power * 2 <= value) power *= 2;
  return power;
}

/// The nodes of a row as its cluster has them: NVLink domains.
NodeGroup nodes_of(const PublishedRow& row, const PublishedHardware::Gpu& gpu) {
  const auto gpus = static_cast<int>(std::min<std::int64_t>(*row.hardware.gpus, 1'000'000));
  int per_node = static_cast<int>(row.hardware.gpus_per_node);
  if (gpu.nvlink_domain > 0) {
    per_node = gpus <= gpu.nvlink_domain ? gpus : power_of_two_below(gpu.nvlink_domain);
  }
  NodeGroup group;
  group.nodes = (gpus + per_node - 1) / per_node;
  group.devices_per_node = per_node;
  return group;
}

void check_row(const PublishedRow& row) {
  if (row.trust == Trust::analytic) reject("analytic: the value of a formula, not measured");
  if (!row.hardware.gpus) reject("hardware.gpus is not told");
  if (!row.step_time_s() && !row.measured_bytes() && !row.out_of_memory) {
    reject("no time of a step and no memory was measured");
  }
}

/// Equal keys are equal networks.
std::string shape_key(const PublishedRow::Model& m) {
  const auto text = [](const std::optional<std::int64_t>& v) { return v.value_or(-1); };
  const PublishedExperts e = m.experts.value_or(PublishedExperts{});
  return fmt::format("{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}/{}", m.kind, m.name,
                     text(m.layers), text(m.hidden), text(m.heads), text(m.kv_heads),
                     text(m.head_features), text(m.mlp_features), text(m.vocabulary),
                     text(m.sequence), m.gated_mlp.value_or(false), text(e.experts), text(e.top_k),
                     text(e.features), text(e.shared_experts), text(e.dense_layers), e.interleave,
                     e.attention);
}

std::optional<double> over(double forecast, std::optional<double> measured) {
  if (!measured || !(*measured > 0)) return std::nullopt;
  return forecast / *measured - 1;
}

}  // namespace

std::optional<double> PublishedForecast::error() const {
  return over(seconds(estimate.step_time), measured_s());
}

std::optional<double> PublishedForecast::memory_error() const {
  const std::optional<std::int64_t> bytes = row.measured_bytes();
  if (!bytes || !memory || row.out_of_memory) return std::nullopt;
  return over(static_cast<double>(memory->count), static_cast<double>(*bytes));
}

std::optional<double> PublishedForecast::measured_mfu() const {
  const auto measured = measured_s();
  if (!measured || !(estimate.mfu > 0)) return std::nullopt;
  return estimate.mfu * seconds(estimate.step_time) / *measured;
}

PublishedForecaster::PublishedForecaster(const fs::path& tables, const CostModel& costs)
    : costs_(costs),
      hardware_(read_published_hardware(tables / "hardware.json")),
      sources_(read_published_sources(tables / "sources.json")),
      split_(read_published_split(tables / "split.json")) {}

PublishedForecaster::~PublishedForecaster() = default;

const Cluster& PublishedForecaster::cluster_of(const PublishedRow& row,
                                               std::vector<std::string>& assumed) {
  const auto gpu = hardware_.gpus.find(row.hardware.gpu);
  if (gpu == hardware_.gpus.end()) {
    reject(fmt::format("hardware.gpu: hardware.json has no '{}'", row.hardware.gpu));
  }
  NodeGroup group = nodes_of(row, gpu->second);
  const auto network = hardware_.networks.find(row.hardware.interconnect);
  const bool told = network != hardware_.networks.end();
  if (group.nodes > 1 && !told) assumed.push_back("network");
  const std::string key = fmt::format("{}/{}/{}x{}", gpu->first, told ? network->first : "",
                                      group.nodes, group.devices_per_node);
  std::unique_ptr<Cluster>& cluster = clusters_[key];
  if (cluster) return *cluster;
  const std::string& name = gpu->second.device;
  auto device = devices_.find(name);
  if (device == devices_.end()) device = devices_.emplace(name, load_device(name)).first;
  const PublishedHardware::Nics nics = told ? network->second : gpu->second.nics;
  const DeviceSpec& spec = device->second;
  group.intra = LinkFacts{.bandwidth = spec.link_bandwidth,
                          .latency = hardware_.intra_latency,
                          .efficiency = spec.link_efficiency > 0 ? spec.link_efficiency : 1,
                          .setup = spec.collective_setup,
                          .switch_reduction = spec.switch_reduction};
  group.nics_per_node = std::min(nics.per_node, group.devices_per_node);
  group.nic = LinkFacts{.bandwidth = nics.bandwidth,
                        .latency = nics.latency > Duration{} ? nics.latency : hardware_.nic_latency,
                        .efficiency = nics.efficiency,
                        .setup = nics.setup > Duration{} ? nics.setup : spec.collective_setup,
                        .flow = nics.flow};
  const Fabric fabric{.oversubscription = 1, .latency = hardware_.fabric_latency};
  cluster = std::make_unique<Cluster>(make_cluster(name, spec, group, fabric));
  return *cluster;
}

bool PublishedForecaster::layers_timed_apart(const std::string& source,
                                             const PublishedRow& row) const {
  const PublishedSource* facts = sources_.find(source, row);
  return facts != nullptr && facts->layers_timed_apart;
}

std::string PublishedForecaster::device_of(const PublishedRow& row) const {
  const auto gpu = hardware_.gpus.find(row.hardware.gpu);
  return gpu != hardware_.gpus.end() ? gpu->second.device : std::string();
}

void PublishedForecaster::replace_device(const DeviceSpec& device) {
  devices_.insert_or_assign(device.name, device);
  clusters_.clear();
}

void PublishedForecaster::replace_stack(Stack stack) {
  std::string name = stack.name;
  stacks_.insert_or_assign(std::move(name), std::move(stack));
}

const OpGraph& PublishedForecaster::model_of(const PublishedRow& row, const PublishedSource& facts,
                                             int tp) {
  const std::string key =
      fmt::format("{}/{}/{}/{}/{}/{}/{}/{}", shape_key(row.model), tp, facts.vocabulary_multiple,
                  facts.vocabulary_cut, facts.dropout, facts.alibi, facts.packed,
                  facts.tied ? 1 + int{*facts.tied} : 0);
  std::unique_ptr<OpGraph>& model = models_[key];
  if (!model) model = std::make_unique<OpGraph>(published_model(row, facts, sources_, tp));
  return *model;
}

const Stack& PublishedForecaster::stack_of(const PublishedSource& facts) {
  const Stack& stack = named_stack(facts);
  if (!facts.layers_timed_apart) return stack;
  Stack& apart = stacks_apart_[facts.stack] = stack;
  apart.host_pace = HostPace::starts_idle;
  return apart;
}

const Stack& PublishedForecaster::named_stack(const PublishedSource& facts) {
  const auto known = stacks_.find(facts.stack);
  if (known != stacks_.end()) return known->second;
  Stack stack = facts.stack.empty() ? Stack{} : read_stack(find_resource("stacks", facts.stack));
  return stacks_.emplace(facts.stack, std::move(stack)).first->second;
}

/// What was measured where a source's rows were, where there is such a profile.
const CostModel& PublishedForecaster::costs_of(const PublishedSource& facts) {
  if (facts.profile.empty()) return costs_;
  std::unique_ptr<CostModel>& costs = profiles_[facts.profile];
  if (!costs) {
    costs = std::make_unique<ProfileModel>(read_profile(find_resource("profiles", facts.profile)));
  }
  return *costs;
}

/// Of the fullest stage, what the kind of a row's number counts.
std::optional<Bytes> PublishedForecaster::memory_of(const PublishedRow& row,
                                                    const FoldedStep& step) {
  if (!row.measured_bytes()) return std::nullopt;
  const PublishedMemory kind = row.memory_kind();
  const Bytes outside = kind == PublishedMemory::device ? step.context_bytes() : Bytes{};
  Bytes most;
  for (const StageMemory& stage : step.memory()) {
    const Bytes inside =
        kind == PublishedMemory::allocated
            ? stage.peak
            : std::max(stage.peak, step.allocator_stats(stage.stage).peak_reserved);
    most = std::max(most, inside + outside);
  }
  return most;
}

/// Forecasts of memory are off by so much: a run that is known to have fitted may seem to need more.
constexpr double kMemoryTolerance = 1.1;

/// Where recomputation is not told: the least with which the forecast fits, or nearly so: none, that of
/// attention, all of as few layers of each virtual stage as will do. Where nothing fits memory tells nothing: none.
void PublishedForecaster::estimate(const Task& task, Strategy strategy,
                                   std::optional<Recompute> told, PublishedForecast& result) const {
  const PublishedRow& row = result.row;
  if (!published_recompute(row, {})) result.assumed.push_back("recompute");
  if (told) {
    strategy.recompute = *told;
  } else {
    strategy = row.hardware.gpu_memory_gb ? least_recomputed(task, strategy) : strategy;
  }
  const FoldedStep step(task, strategy);
  result.estimate = step.estimate(task.costs);
  result.memory = memory_of(row, step);
}

Strategy PublishedForecaster::least_recomputed(const Task& task, Strategy strategy) {
  const double memory =
      kMemoryTolerance * static_cast<double>(task.cluster.device(DeviceId{0}).memory.count);
  const auto fits = [&](Recompute recompute, std::optional<int> layers) {
    strategy.recompute = recompute;
    strategy.recompute_layers = layers;
    const Estimate estimate = FoldedStep(task, strategy).estimate(task.costs);
    return static_cast<double>(estimate.peak_memory.count) <= memory;
  };
  if (fits(Recompute::none, {}) || fits(Recompute::selective, {})) return strategy;
  if (!fits(Recompute::full, {})) {
    strategy.recompute = Recompute::none;
    return strategy;
  }
  int too_few = 0;
  int enough =
      static_cast<int>(task.model.block_count(BlockRole::layer)) / (strategy.pp * strategy.vpp) + 1;
  while (enough - too_few > 1) {
    const int middle = (too_few + enough) / 2;
    (fits(Recompute::full, middle) ? enough : too_few) = middle;
  }
  strategy.recompute = Recompute::full;
  strategy.recompute_layers = enough;
  return strategy;
}

PublishedForecast PublishedForecaster::forecast(const PublishedRow& row,
                                                const std::string& source) {
  check_row(row);
  PublishedForecast result{.row = row,
                           .source = source,
                           .device = {},
                           .fit = split_.fits(source, row),
                           .estimate = {},
                           .assumed = {},
                           .memory_told = row.hardware.gpu_memory_gb.has_value()};
  const PublishedSource* const known = sources_.find(source, row);
  if (known == nullptr) result.assumed.push_back("stack");
  const PublishedSource facts = known != nullptr ? *known : PublishedSource{};
  const Optimizer optimizer = published_optimizer(row, result.assumed);
  const NumberFormats formats = formats_of(published_precision(row));
  Strategy strategy = published_strategy(row, facts, result.assumed);
  const OpGraph& model = model_of(row, facts, strategy.tp);
  const std::int64_t tokens = row.model.sequence.value_or(1);
  if (facts.recompute_every > 1) {
    const auto layers = static_cast<int>(model.block_count(BlockRole::layer));
    strategy.recompute_layers = layers / (strategy.pp * strategy.vpp * facts.recompute_every);
  }
  const Task task{.model = model,
                  .cluster = cluster_of(row, result.assumed),
                  .costs = costs_of(facts),
                  .global_batch = *row.training.global_batch,
                  .optimizer = optimizer,
                  .lengths = {.source = tokens, .target = tokens},
                  .precision = formats.storage,
                  .products = formats.products,
                  .stack = stack_of(facts)};
  result.device = task.cluster.device(DeviceId{0}).name;
  estimate(task, strategy, published_recompute(row, facts), result);
  return result;
}

PublishedRecord forecast_published(const fs::path& folder, PublishedForecaster& forecaster) {
  std::vector<fs::path> files;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".json" && !is_published_table(path)) files.push_back(path);
  }
  if (files.empty()) reject(fmt::format("{}: expected a folder with *.json", folder.string()));
  std::sort(files.begin(), files.end());
  PublishedRecord record;
  for (const fs::path& file : files) {
    const std::string source = file.stem().string();
    for (const PublishedRow& row : read_published(file)) {
      try {
        record.rows.push_back(forecaster.forecast(row, source));
      } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument) throw;
        record.skipped.push_back({row.id, source, error.what()});
      }
    }
  }
  return record;
}

}  // namespace foreplan
