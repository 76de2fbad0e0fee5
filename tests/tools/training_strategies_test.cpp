// The promise of the runtime: whatever the strategy, training computes the same.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "runtime/dataset.hpp"
#include "runtime/host_backend.hpp"
#include "runtime/trainer.hpp"
#include "sim/roofline.hpp"
#include "tools/resources.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kBatch = 24;  // divides by 2, 3 and 4
constexpr int kSteps = 20;

struct Trained {
  std::vector<double> losses;
  Tensors weights;
  double divergence = 0;
};

TaskGraph lowered(const OpGraph& model, const std::string& strategy, std::int64_t batch,
                  Optimizer optimizer) {
  const Strategy parsed = parse_strategy(strategy);
  const Cluster cluster = host_cluster(parsed.devices());
  const RooflineModel costs;
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = batch,
                  .optimizer = optimizer};
  return lower(model, complete(task, parsed), batch, lowering_options(task));
}

Trained train(const OpGraph& model, const std::string& strategy, Optimizer optimizer) {
  const TaskGraph graph = lowered(model, strategy, kBatch, optimizer);
  HostBackend backend(graph.devices);
  Trainer trainer(model, graph, backend,
                  {.optimizer = optimizer,
                   .learning_rate = optimizer == Optimizer::sgd ? 0.002 : 0.001,
                   .seed = 7});
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

void expect_same_training(const Trained& found, const Trained& expected) {
  ASSERT_EQ(found.losses.size(), expected.losses.size());
  for (std::size_t i = 0; i < found.losses.size(); ++i) {
    EXPECT_NEAR(found.losses[i], expected.losses[i], 1e-5 * std::abs(expected.losses[i]))
        << "step " << i + 1;
  }
  ASSERT_EQ(found.weights.size(), expected.weights.size());
  for (std::size_t i = 0; i < found.weights.size(); ++i) {
    ASSERT_EQ(found.weights[i].size(), expected.weights[i].size());
    EXPECT_LE(relative_difference(found.weights[i], expected.weights[i]), 1e-5) << "tensor " << i;
  }
  EXPECT_LE(found.divergence, 1e-6);
}

class TrainingStrategies : public testing::TestWithParam<const char*> {};

// Layer norms, residual additions, pairs of linear layers, and one alone before the loss.
TEST_P(TrainingStrategies, GiveTheLossesAndWeightsOfOneDevice) {
  const OpGraph model = load_model("mlp-gelu-norm");
  static const Trained one_device = train(model, "dp=1", Optimizer::sgd);
  EXPECT_LT(one_device.losses.back(), 0.8 * one_device.losses.front());
  // fp32 knows a probability near 1 to 6e-8, and so its logarithm: of a loss far below 0.01 a
  // relative 1e-5 would be less than rounding.
  EXPECT_GT(one_device.losses.back(), 0.01);
  expect_same_training(train(model, GetParam(), Optimizer::sgd), one_device);
}

INSTANTIATE_TEST_SUITE_P(OnTwoDevices, TrainingStrategies,
                         testing::Values("micro_batch=6", "dp=2", "dp=2,micro_batch=3", "tp=2",
                                         "tp=2,micro_batch=8", "pp=2,micro_batch=4,schedule=gpipe",
                                         "pp=2,micro_batch=4,schedule=1f1b", "pp=2",
                                         "pp=2,micro_batch=6,schedule=1f1b,layers=1+11",
                                         "pp=2,micro_batch=3,schedule=zb-h1",
                                         "pp=2,micro_batch=3,schedule=zb-h2",
                                         "pp=2,vpp=2,micro_batch=3", "pp=2,vpp=2,micro_batch=6",
                                         "pp=2,micro_batch=4,schedule=zb-v"));
INSTANTIATE_TEST_SUITE_P(OnThreeDevices, TrainingStrategies,
                         testing::Values("dp=3", "dp=3,micro_batch=4", "tp=3",
                                         "pp=3,micro_batch=4,schedule=gpipe",
                                         "pp=3,micro_batch=2,schedule=1f1b",
                                         "pp=3,micro_batch=2,schedule=zb-h1"));
INSTANTIATE_TEST_SUITE_P(
    OnFourDevices, TrainingStrategies,
    testing::Values(
        "dp=4", "dp=4,micro_batch=2", "tp=4", "pp=4,micro_batch=6,schedule=gpipe",
        "pp=4,micro_batch=3,schedule=1f1b", "dp=2,tp=2,micro_batch=6",
        "dp=2,pp=2,micro_batch=3,schedule=gpipe", "tp=2,pp=2,micro_batch=6,schedule=1f1b",
        "tp=2,pp=2,micro_batch=3,schedule=zb-h1", "dp=2,pp=2,micro_batch=2,schedule=zb-h2",
        "tp=2,pp=2,vpp=2,micro_batch=3", "dp=2,pp=2,micro_batch=2,schedule=zb-v",
        "dp=2,pp=2,order=pp-tp-cp-dp,micro_batch=3", "dp=2,tp=2,order=dp-pp-tp-cp,micro_batch=6"));

TEST(TrainingStrategiesOnEightDevices, GiveTheLossesAndWeightsOfOneDevice) {
  const OpGraph model = load_model("mlp-gelu-norm");
  expect_same_training(train(model, "dp=2,tp=2,pp=2,micro_batch=3,schedule=1f1b", Optimizer::sgd),
                       train(model, "dp=1", Optimizer::sgd));
}

// Adam divides by the root of the second moment, so where a gradient is all rounding its sign
// decides: early on it amplifies what SGD damps. The losses still agree.
TEST(TrainingStrategiesWithAdam, GiveTheLossesOfOneDevice) {
  const OpGraph model = load_model("mlp-gelu-norm");
  const Trained expected = train(model, "dp=1", Optimizer::adam);
  for (const char* strategy : {"dp=2,micro_batch=6", "tp=2", "pp=2,micro_batch=4"}) {
    const Trained found = train(model, strategy, Optimizer::adam);
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      EXPECT_NEAR(found.losses[i], expected.losses[i], 1e-4 * expected.losses[i])
          << strategy << ", step " << i + 1;
    }
  }
}

// A network whose first step is exact in fp32, so that every order of additions gives the same bits:
//   x: whole numbers -2 .. 2. h = x W1 + b1 with W1 whole numbers; the columns of W1 of the last six
//   hidden units, and all biases, are 0, so h = 0 there.
//   W2: rows of the first six hidden units are alike in all 4 classes; the rest are any whole numbers,
//   which h = 0 hides: the 4 logits of a sample are equal and softmax is exactly 1/4 each.
//   So dlogits = (1/4 - onehot) / 16 are multiples of 1/64, and so is everything behind them.
constexpr std::int64_t kExactBatch = 16;

OpGraph exact_model() {
  std::vector<Layer> layers{
      {.name = "fc1", .kind = LayerKind::linear, .in_features = 8, .out_features = 12},
      {.name = "fc2", .kind = LayerKind::linear, .in_features = 12, .out_features = 4},
      {.name = "loss",
       .kind = LayerKind::softmax_cross_entropy,
       .in_features = 4,
       .out_features = 1}};
  return {"exact", 8, layers, {{kModelInput}, {LayerId{0}}, {LayerId{1}}}};
}

/// A whole number in -2 .. 2 that depends on i in no simple way.
float whole(std::size_t i) { return static_cast<float>((i * i * 7 + i * 3) % 5) - 2.0F; }

Tensors exact_weights() {
  Tensors weights{std::vector<float>(8 * 12), std::vector<float>(12), std::vector<float>(12 * 4),
                  std::vector<float>(4)};
  for (std::size_t row = 0; row < 8; ++row) {
    for (std::size_t column = 0; column < 6; ++column) {
      weights[0][row * 12 + column] = whole(row * 12 + column);
    }
  }
  for (std::size_t row = 0; row < 12; ++row) {
    for (std::size_t column = 0; column < 4; ++column) {
      weights[2][row * 4 + column] = row < 6 ? whole(row) : whole(row * 4 + column);
    }
  }
  return weights;
}

Dataset exact_data() {
  Dataset data{.features = 8, .classes = 4};
  for (std::size_t i = 0; i < kExactBatch * 8; ++i) data.samples.push_back(whole(i + 1000));
  for (std::size_t i = 0; i < kExactBatch; ++i) data.labels.push_back(static_cast<int>(i * i % 4));
  return data;
}

/// The weights after one step with learning rate 1/2.
Tensors one_exact_step(const std::string& strategy) {
  const OpGraph model = exact_model();
  const TaskGraph graph = lowered(model, strategy, kExactBatch, Optimizer::sgd);
  HostBackend backend(graph.devices);
  Trainer trainer(model, graph, backend, {.learning_rate = 0.5, .momentum = 0.5});
  TrainingState state = trainer.state();
  state.weights = exact_weights();
  trainer.restore(state);
  trainer.load_batch(exact_data(), 0);
  trainer.step();
  EXPECT_EQ(trainer.replica_divergence(), 0) << strategy;
  return trainer.weights();
}

/// The same step in whole 1/64ths, by the chain rule written out.
Tensors exact_step_by_hand() {
  const Tensors w = exact_weights();
  const Dataset data = exact_data();
  Tensors next = w;
  const auto update = [](float& weight, double gradient) {
    weight = static_cast<float>(weight - 0.5 * gradient);
  };
  std::vector<double> dw1(8 * 12), db1(12), dw2(12 * 4), db2(4);
  for (std::size_t s = 0; s < kExactBatch; ++s) {
    const float* x = data.samples.data() + s * 8;
    std::vector<double> h(12), dlogit(4), dh(12);
    for (std::size_t c = 0; c < 4; ++c) {
      dlogit[c] = (0.25 - (static_cast<int>(c) == data.labels[s] ? 1 : 0)) / 16;
      db2[c] += dlogit[c];
    }
    for (std::size_t j = 0; j < 12; ++j) {
      for (std::size_t i = 0; i < 8; ++i) h[j] += double{x[i]} * w[0][i * 12 + j];
      for (std::size_t c = 0; c < 4; ++c) {
        dh[j] += dlogit[c] * w[2][j * 4 + c];
        dw2[j * 4 + c] += h[j] * dlogit[c];
      }
      db1[j] += dh[j];
      for (std::size_t i = 0; i < 8; ++i) dw1[i * 12 + j] += double{x[i]} * dh[j];
    }
  }
  for (std::size_t i = 0; i < dw1.size(); ++i) update(next[0][i], dw1[i]);
  for (std::size_t i = 0; i < db1.size(); ++i) update(next[1][i], db1[i]);
  for (std::size_t i = 0; i < dw2.size(); ++i) update(next[2][i], dw2[i]);
  for (std::size_t i = 0; i < db2.size(); ++i) update(next[3][i], db2[i]);
  return next;
}

TEST(TrainingOnWholeNumbers, IsExactUnderEveryStrategy) {
  const Tensors expected = exact_step_by_hand();
  EXPECT_NE(expected, exact_weights());
  for (const char* strategy :
       {"dp=1", "micro_batch=4", "dp=2", "dp=4", "dp=2,micro_batch=2", "tp=2", "tp=4",
        "pp=2,micro_batch=4,schedule=gpipe", "pp=2,micro_batch=2,schedule=1f1b", "dp=2,tp=2",
        "dp=2,pp=2,micro_batch=4", "tp=2,pp=2,micro_batch=8", "tp=3"}) {
    SCOPED_TRACE(strategy);
    EXPECT_EQ(one_exact_step(strategy), expected);
  }
}

class LearningMnist : public testing::TestWithParam<const char*> {};

// What `foreplan run` trains by default: generated data in MNIST's shape.
TEST_P(LearningMnist, FallsSteadilyToOver95PercentOnHeldOutData) {
  const OpGraph model = load_model("mnist-mlp");
  const TaskGraph graph = lowered(model, GetParam(), 256, Optimizer::sgd);
  HostBackend backend(graph.devices);
  Trainer trainer(model, graph, backend, {.learning_rate = 0.05});
  const DataSplit data = generate_data({});
  EXPECT_LT(trainer.accuracy(data.held_out), 0.5);
  std::vector<double> loss_of_ten;
  for (int i = 0; i < 50; ++i) {
    trainer.load_batch(data.train, i * 256);
    if (i % 10 == 0) loss_of_ten.push_back(0);
    loss_of_ten.back() += trainer.step().loss / 10;
  }
  for (std::size_t i = 1; i < loss_of_ten.size(); ++i) {
    EXPECT_LT(loss_of_ten[i], loss_of_ten[i - 1]) << "steps " << 10 * i;
  }
  EXPECT_GT(trainer.accuracy(data.held_out), 0.95);
}

INSTANTIATE_TEST_SUITE_P(Strategies, LearningMnist,
                         testing::Values("dp=1", "dp=2", "tp=2",
                                         "pp=2,micro_batch=32,schedule=1f1b"));

}  // namespace
}  // namespace foreplan
