#include "tests/properties/random_step.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "models/model_io.hpp"
#include "models/number_formats.hpp"
#include "sim/cluster_io.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"
#include "tests/properties/dice.hpp"

namespace foreplan {
namespace {

/// A cluster of one or two kinds of nodes, as a file says it in short.
std::string shorthand(Dice& dice) {
  const auto node = [&](int devices) {
    const int nics = devices % 2 == 0 && dice.once_in(2) ? devices / 2 : 1;
    return fmt::format(
        R"({{"count": {}, "device": "{}", "devices_per_node": {},
             "intra": {{"bandwidth_bytes_per_s": {}e11, "latency_s": {}e-6}}, "nics_per_node": {},
             "nic": {{"bandwidth_bytes_per_s": {}e10, "latency_s": 2e-6}}}})",
        1 + dice.below(4),
        dice.one_of({"a100-sxm-80gb", "v100-sxm2-16gb", "h100-sxm-80gb", "rtx-4090"}), devices,
        1 + dice.below(4), dice.below(3), nics, 1 + dice.below(5));
  };
  const auto devices = [&] { return dice.one_of({1, 2, 3, 4, 8}); };
  const int first = devices();
  const std::string second =
      dice.once_in(3) ? ", " + node(dice.once_in(2) ? first : devices()) : "";
  return fmt::format(
      R"({{"schema": "foreplan.cluster/1", "name": "random", "nodes": [{}{}],
           "fabric": {{"oversubscription": {}, "latency_s": 1e-6}}}})",
      node(first), second, dice.one_of({1, 1, 2}));
}

/// The same devices and links, not told in short.
Cluster in_full(const Cluster& cluster) {
  std::vector<Cluster::LinkSpec> links;
  for (std::size_t i = 0; i < cluster.links().size(); i += 2) {
    const Link& link = cluster.links()[i];
    links.push_back({link.from, link.to, link.bandwidth, link.latency});
  }
  return {cluster.name() + "-in-full", cluster.specs(), cluster.vertices(), links};
}

std::vector<Cluster> random_clusters(const std::filesystem::path& data) {
  constexpr int kClusters = 40;
  const DeviceLookup lookup = [&](const std::string& name) {
    return read_device(data / "devices" / (name + ".json"));
  };
  std::vector<Cluster> clusters;
  for (const int nodes : {1, 2, 8}) {
    clusters.push_back(read_cluster(data / "clusters/dgx-a100.json", lookup, nodes));
  }
  clusters.push_back(read_cluster(data / "clusters/a100-v100-pair.json", lookup));
  clusters.push_back(read_cluster(data / "clusters/dgx-1.json", lookup));
  clusters.push_back(read_cluster(data / "clusters/host.json", lookup));
  const auto file = std::filesystem::temp_directory_path() /
                    fmt::format("foreplan_random_cluster_{}.json", ::getpid());
  for (std::uint64_t i = 0; i < kClusters; ++i) {
    Dice dice(i);
    std::ofstream(file) << shorthand(dice);
    const Cluster cluster = read_cluster(file, lookup);
    clusters.push_back(dice.once_in(4) ? in_full(cluster) : cluster);
  }
  std::filesystem::remove(file);
  return clusters;
}

std::vector<OpGraph> random_models(const std::filesystem::path& data) {
  std::vector<OpGraph> models;
  for (const std::int64_t layers : {2, 3, 8, 24}) {
    models.push_back(
        hand_made_gpt({.layers = layers, .h = 64, .a = 8, .vocabulary = 1000, .positions = 64}));
  }
  models.push_back(hand_made_gpt({.layers = 6, .h = 96, .a = 6, .vocabulary = 777}));
  models.push_back(mlp({64, 128, 64, 32}));
  models.push_back(mlp({784, 128, 10}));
  models.push_back(mlp({96, 96, 96, 96, 96, 96, 96, 96, 12}));
  models.push_back(residual(24));
  models.push_back(every_kind(48));
  for (const char* name : {"gpt2",
                           "llama3.2-1b",
                           "tinyllama-1.1b",
                           "pythia-70m",
                           "falcon-7b",
                           "gemma2-2b",
                           "phi-3-mini",
                           "bloom-560m",
                           "opt-125m",
                           "mixtral-8x7b",
                           "qwen1.5-moe-a2.7b",
                           "qwen3-30b-a3b",
                           "deepseek-v2-lite",
                           "bert-base",
                           "roberta-base",
                           "t5-small",
                           "flan-t5-base",
                           "vit-b-16",
                           "resnet18",
                           "resnet50",
                           "vgg11",
                           "alexnet",
                           "densenet121",
                           "mnist-mlp"}) {
    models.push_back(read_model(data / "zoo" / fmt::format("{}.json", name)));
  }
  return models;
}

/// Layers of so many stages, mostly as many in all as there are.
std::vector<int> random_layers(Dice& dice, std::int64_t parts, std::int64_t all) {
  std::vector<int> layers;
  for (std::int64_t i = 0; i < parts && i < 100; ++i) {
    const std::int64_t left = all - (parts - i - 1);
    const bool last = i + 1 == parts;
    const std::int64_t most = std::max<std::int64_t>(1, std::min(left, 2 * all / parts));
    layers.push_back(static_cast<int>(last ? left : 1 + dice.below(most)));
    all -= layers.back();
  }
  if (!layers.empty() && dice.once_in(8)) layers.back() += dice.one_of({-1, 1, -100, 1 << 30});
  return layers;
}

std::int64_t layers_of(const OpGraph& model) {
  return model.flat() ? static_cast<std::int64_t>(model.size()) - 1
                      : model.block_count(BlockRole::layer);
}

class Draw {
 public:
  Draw(Dice& dice, Task& task, Strategy& strategy)
      : dice_(dice), task_(task), strategy_(strategy) {}

  void all() {
    sizes();
    if (dice_.once_in(40)) wild();
    strategy_.zero = dice_.once_in(2) ? 0 : static_cast<int>(dice_.below(4));
    strategy_.sp = strategy_.tp > 1 ? dice_.once_in(2) : dice_.once_in(20);
    strategy_.recompute =
        dice_.one_of({Recompute::none, Recompute::none, Recompute::selective, Recompute::full});
    const bool by_layers = dice_.once_in(strategy_.recompute == Recompute::full ? 3 : 60);
    if (by_layers) strategy_.recompute_layers = static_cast<int>(dice_.below(6)) - 1;
    if (dice_.once_in(6)) strategy_.offload = kOffloads[static_cast<std::size_t>(dice_.below(4))];
    if (dice_.once_in(30)) only_replicas();
    batch();
    rest_of_task();
    if (dice_.once_in(12)) apart();
  }

 private:
  /// Sizes that fit the devices, as often as not.
  void sizes() {
    const bool fits = !dice_.once_in(4);
    std::int64_t left = fits ? task_.cluster.devices() : 1000;
    const auto size = [&](std::initializer_list<int> sizes) {
      const int value = dice_.one_of(sizes);
      if (value > left) return 1;
      left /= value;
      return value;
    };
    strategy_.tp = size({1, 1, 1, 2, 2, 3, 4, 8});
    strategy_.pp = size({1, 1, 2, 2, 3, 4, 6, 8});
    strategy_.cp = size({1, 1, 1, 1, 2, 3, 4});
    strategy_.dp = size({1, 2, 2, 3, 4, 8, 16});
    const bool experts = dice_.once_in(has_experts() ? 2 : 20);
    if (experts) {
      strategy_.ep = dice_.one_of({2, 4, 3, strategy_.dp, strategy_.dp * strategy_.cp,
                                   strategy_.dp * strategy_.cp * strategy_.tp});
    }
    if (strategy_.pp > 1 || dice_.once_in(20)) pipeline();
  }

  bool has_experts() const {
    const auto& layers = task_.model.layers();
    return std::any_of(layers.begin(), layers.end(),
                       [](const Layer& l) { return l.kind == LayerKind::expert_linear; });
  }

  void pipeline() {
    if (dice_.once_in(2)) {
      strategy_.schedule = kSchedules[static_cast<std::size_t>(dice_.below(kSchedules.size()))];
    }
    const bool chunks = strategy_.schedule == Schedule::one_f_one_b ||
                        strategy_.schedule == Schedule::interleaved || dice_.once_in(10);
    if (chunks) strategy_.vpp = dice_.one_of({1, 2, 2, 3, 4});
    const std::int64_t parts =
        dice_.once_in(8) ? 1 + dice_.below(6) : std::int64_t{strategy_.pp} * strategy_.vpp;
    if (dice_.once_in(4)) strategy_.layers = random_layers(dice_, parts, layers_of(task_.model));
  }

  /// PyTorch's DataParallel, mostly with nothing beside it.
  void only_replicas() {
    if (!dice_.once_in(4)) strategy_ = {.dp = strategy_.dp};
    strategy_.replication = Replication::dataparallel;
  }

  /// Branches on devices of their own, or a split by layers, mostly with nothing beside it.
  void apart() {
    if (!dice_.once_in(8)) strategy_ = {.dp = strategy_.dp, .micro_batch = strategy_.micro_batch};
    if (dice_.once_in(2)) {
      strategy_.bp = dice_.one_of({2, 2, 3, 4});
      if (dice_.once_in(3)) strategy_.zero = 1;
    } else {
      const std::int64_t layers = std::ssize(task_.model.layers());
      strategy_.split_from = static_cast<int>(1 + dice_.below(layers));
      if (dice_.once_in(2)) strategy_.split_from = static_cast<int>(layers - 1 - dice_.below(8));
    }
  }

  void wild() {
    const int value = dice_.one_of({0, -1, 1'000'000'000, 1 << 20, 65, 1000});
    if (dice_.once_in(8)) {
      strategy_.zero = value;
    } else {
      strategy_.*dice_.one_of({&Strategy::dp, &Strategy::tp, &Strategy::pp, &Strategy::vpp,
                               &Strategy::cp, &Strategy::ep}) = value;
    }
  }

  void batch() {
    task_.global_batch = dice_.one_of({1, 2, 7, 64});
    if (dice_.once_in(10)) strategy_.micro_batch = dice_.one_of({-1, 0, 1, 3, 1'000'000'000});
    if (dice_.once_in(8) || strategy_.dp < 1 || strategy_.dp > 1000) return;
    const std::int64_t size = dice_.one_of({1, 1, 1, 2, 4});
    const std::int64_t count = dice_.one_of({1, 2, 3, 4, 8, 12, 16, 24, 48});
    task_.global_batch = strategy_.dp * size * count;
    if (!dice_.once_in(5)) strategy_.micro_batch = size;
  }

  void rest_of_task() {
    task_.optimizer = dice_.one_of({Optimizer::sgd, Optimizer::adam});
    task_.lengths.source = dice_.one_of({1, 6, 8, 16, 24, 32, 48, 64, 64, 96});
    task_.lengths.target = dice_.one_of({std::int64_t{1}, std::int64_t{24}, task_.lengths.source});
    task_.precision =
        dice_.one_of({DType::fp32, DType::tf32, DType::fp16, DType::bf16, DType::fp8});
    const bool known = task_.cluster.device(DeviceId{0}).peak.count(task_.precision) != 0;
    if (!known && !dice_.once_in(10)) task_.precision = DType::fp32;
    const NumberFormats formats = formats_of(task_.precision);
    task_.precision = formats.storage;
    task_.products = formats.products;
    if (dice_.once_in(6)) {
      task_.collectives = static_cast<CollectiveAlgorithm>(dice_.below(kCollectiveAlgorithms));
    }
    stack();
    for (std::int64_t i = dice_.once_in(6) ? 1 + dice_.below(2) : 0; i > 0; --i) {
      const std::int64_t out = dice_.once_in(20) ? 5 : 0;
      const DeviceId device{static_cast<std::int32_t>(dice_.below(task_.cluster.devices()) + out)};
      const double factor =
          dice_.once_in(20) ? dice_.one_of({0.0, -1.0}) : dice_.one_of({1.3, 2.0});
      task_.slow.emplace_back(device, factor);
    }
  }

  void stack() {
    Stack& stack = task_.stack;
    for (bool Stack::*flag :
         {&Stack::fused_attention, &Stack::overlap_gradients, &Stack::overlap_parameters,
          &Stack::overlap_tensor, &Stack::prefetch_parameters, &Stack::clip_gradients,
          &Stack::scatter_activations, &Stack::master_weights}) {
      if (dice_.once_in(4)) stack.*flag = !(stack.*flag);
    }
    stack.gradient_bytes = dice_.one_of({2, 4, 4});
    stack.bucket = dice_.one_of({25_MiB, 25_MiB, 1_MiB, 1_GiB});
  }

  Dice& dice_;
  Task& task_;
  Strategy& strategy_;
};

}  // namespace

StepSource::StepSource(const std::filesystem::path& data)
    : models_(random_models(data)), clusters_(random_clusters(data)) {}

RandomStep StepSource::draw(std::uint64_t number) const {
  Dice dice(number);
  const auto any = [&](const auto& from) -> const auto& {
    return from[static_cast<std::size_t>(dice.below(static_cast<std::int64_t>(from.size())))];
  };
  RandomStep step{.task = {.model = any(models_), .cluster = any(clusters_), .costs = costs_},
                  .strategy = {}};
  Draw(dice, step.task, step.strategy).all();
  return step;
}

std::string describe(const RandomStep& step) {
  const Task& task = step.task;
  const Strategy& s = step.strategy;
  std::string text = fmt::format(
      "{} on {} of {} devices, batch {}, {}, source {} target {}: {} (vpp={}, schedule={}, {} "
      "entries in layers)",
      task.model.name(), task.cluster.name(), task.cluster.devices(), task.global_batch,
      name(task.precision), task.lengths.source, task.lengths.target, format(s), s.vpp,
      name(s.schedule), s.layers.size());
  for (const auto& [device, factor] : task.slow) {
    text += fmt::format(", device {} x {}", static_cast<int>(device), factor);
  }
  return text;
}

}  // namespace foreplan
