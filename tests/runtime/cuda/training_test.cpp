// The runtime's promise across backends: a GPU trains what the host trains, whatever the strategy.

#include <cmath>

#include "planner/estimate.hpp"
#include "runtime/cuda/cuda_backend.hpp"
#include "runtime/dataset.hpp"
#include "runtime/host_backend.hpp"
#include "runtime/trainer.hpp"
#include "sim/roofline.hpp"
#include "tests/runtime/cuda/gpu.hpp"
#include "tools/resources.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kBatch = 24;  // divides by 2, 3 and 4
constexpr int kSteps = 6;

struct Trained {
  std::vector<double> losses;
  Tensors weights;
  double divergence = 0;
};

TaskGraph lowered(const OpGraph& model, const std::string& strategy, bool concurrent,
                  CollectiveAlgorithm algorithm) {
  const Strategy parsed = parse_strategy(strategy);
  const Cluster cluster = host_cluster(parsed.devices());
  const RooflineModel costs;
  const Task task{
      .model = model, .cluster = cluster, .costs = costs, .global_batch = kBatch};
  LoweringOptions options = lowering_options(task);
  options.concurrent_streams = concurrent;
  options.algorithm = algorithm;
  return lower(model, complete(task, parsed), kBatch, options);
}

Trained train(const OpGraph& model, const TaskGraph& graph, Backend& backend) {
  Trainer trainer(model, graph, backend, {.learning_rate = 0.002, .seed = 7});
  const DataSplit data = generate_data({.features = model.input_features(),
                                        .classes = model.classes(),
                                        .train = 4 * kBatch,
                                        .held_out = 1,
                                        .seed = 3});
  Trained result;
  for (int i = 0; i < kSteps; ++i) {
    trainer.load_batch(data.train, i * kBatch);
    result.losses.push_back(trainer.step().loss);
  }
  result.weights = trainer.weights();
  result.divergence = trainer.replica_divergence();
  return result;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return std::sqrt(sum);
}

/// || a - b || / || b ||.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return norm(b) > 0 ? norm(difference) / norm(b) : norm(difference);
}

struct Case {
  std::string name, strategy;
  bool graph = false;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
};

class CudaTraining : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (const std::string why = no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_P(CudaTraining, GivesTheLossesAndWeightsOfTheHost) {
  const OpGraph model = load_model("mlp-gelu-norm");
  const TaskGraph on_host = lowered(model, GetParam().strategy, false, GetParam().algorithm);
  const TaskGraph on_gpu = lowered(model, GetParam().strategy, true, GetParam().algorithm);
  HostBackend host(on_host.devices);
  CudaBackend cuda({.devices = on_gpu.devices,
                    .graph = GetParam().graph,
                    .workspace_bytes = std::size_t{1} << 20});
  const Trained expected = train(model, on_host, host);
  const Trained found = train(model, on_gpu, cuda);
  for (std::size_t i = 0; i < found.losses.size(); ++i) {
    EXPECT_NEAR(found.losses[i], expected.losses[i], 1e-4 * std::abs(expected.losses[i]))
        << "step " << i + 1;
  }
  ASSERT_EQ(found.weights.size(), expected.weights.size());
  for (std::size_t i = 0; i < found.weights.size(); ++i) {
    EXPECT_LE(relative_difference(found.weights[i], expected.weights[i]), 1e-4) << "tensor " << i;
  }
  EXPECT_LE(found.divergence, 1e-6);
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Strategies, CudaTraining,
    testing::Values(Case{"OneDevice", "dp=1"}, Case{"OneDeviceGraph", "dp=1", true},
                    Case{"DataParallel", "dp=2,micro_batch=6"}, Case{"TensorParallel", "tp=2"},
                    Case{"DataParallelDirect", "dp=3", false, CollectiveAlgorithm::direct},
                    Case{"TensorParallelDirect", "tp=4", false, CollectiveAlgorithm::direct},
                    Case{"Gpipe", "pp=2,micro_batch=4,schedule=gpipe"},
                    Case{"OneForwardOneBackward", "pp=3,micro_batch=4,schedule=1f1b"},
                    Case{"Hybrid", "dp=2,tp=2,micro_batch=6"},
                    Case{"HybridGraph", "tp=2,pp=2,micro_batch=6,schedule=1f1b", true}),
    case_name);

}  // namespace
}  // namespace foreplan
