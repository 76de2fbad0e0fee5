#include "runtime/trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/dataset.hpp"
#include "runtime/host_backend.hpp"
#include "runtime/initialisation.hpp"
#include "runtime/reference.hpp"
#include "tests/runtime/hand_lowered.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;

Dataset data_for(const OpGraph& model, std::int64_t samples) {
  return generate_data({.features = model.input_features(),
                        .classes = model.classes(),
                        .train = samples,
                        .held_out = 1})
      .train;
}

struct Run {
  int devices;
  Optimizer optimizer;
};

/// The largest relative difference over 20 steps between a Trainer and the fp64 reference: of
/// losses, then of weights (relative to the largest weight of the tensor).
double distance_to_reference(const OpGraph& model, const Run& run) {
  constexpr std::int64_t kBatch = 12;
  const TrainerOptions options{.optimizer = run.optimizer,
                               .learning_rate = run.optimizer == Optimizer::sgd ? 0.05 : 0.01};
  const TaskGraph graph = HandLowering(model, run.devices, kBatch, run.optimizer).graph();
  HostBackend backend(run.devices);
  Trainer trainer(model, graph, backend, options);
  ReferenceState state = reference_start(model, options);
  const Dataset data = data_for(model, 20 * kBatch);
  double distance = 0;
  for (std::int64_t step = 0; step < 20; ++step) {
    trainer.load_batch(data, step * kBatch);
    const std::span samples(data.samples);
    const std::span labels(data.labels);
    const auto first = static_cast<std::size_t>(step * kBatch);
    const auto width = static_cast<std::size_t>(data.features);
    const double expected = reference_step(
        model, options,
        {samples.subspan(first * width, kBatch * width), labels.subspan(first, kBatch)}, state);
    distance = std::max(distance, std::fabs(trainer.step().loss / expected - 1));
  }
  const Tensors weights = trainer.weights();
  for (std::size_t t = 0; t < weights.size(); ++t) {
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < weights[t].size(); ++i) {
      const double expected = state.weights[t][i];
      largest = std::max(largest, std::fabs(expected));
      apart = std::max(apart, std::fabs(static_cast<double>(weights[t][i]) - expected));
    }
    distance = std::max(distance, apart / largest);
  }
  EXPECT_EQ(trainer.replica_divergence(), 0.0);
  return distance;
}

// fp32 against fp64: 2^-24 a rounding, some hundred of them a step.
TEST(Trainer, EqualsTheReferenceOnOneDevice) {
  EXPECT_LT(distance_to_reference(small_mlp(), {1, Optimizer::sgd}), 1e-5);
  EXPECT_LT(distance_to_reference(every_kind(), {1, Optimizer::sgd}), 1e-5);
}

TEST(Trainer, EqualsTheReferenceWithAdam) {
  EXPECT_LT(distance_to_reference(small_mlp(), {1, Optimizer::adam}), 2e-5);
}

TEST(Trainer, EqualsTheReferenceOnSeveralDevices) {
  for (const int devices : {2, 3, 4}) {
    EXPECT_LT(distance_to_reference(small_mlp(), {devices, Optimizer::sgd}), 1e-5) << devices;
  }
  EXPECT_LT(distance_to_reference(every_kind(), {3, Optimizer::sgd}), 1e-5);
}

TEST(Trainer, LearnsGeneratedData) {
  const OpGraph model(
      "mlp", 32,
      {{.name = "fc1", .kind = LayerKind::linear, .in_features = 32, .out_features = 32},
       {.name = "relu1", .kind = LayerKind::relu, .in_features = 32, .out_features = 32},
       {.name = "fc2", .kind = LayerKind::linear, .in_features = 32, .out_features = 10},
       {.name = "loss",
        .kind = LayerKind::softmax_cross_entropy,
        .in_features = 10,
        .out_features = 1}},
      {{kModelInput}, {LayerId{0}}, {LayerId{1}}, {LayerId{2}}});
  const DataSplit data =
      generate_data({.features = 32, .classes = 10, .train = 2048, .held_out = 1024});
  const TaskGraph graph = HandLowering(model, 2, 64).graph();
  HostBackend backend(2);
  Trainer trainer(model, graph, backend, {});
  // Ten classes: a net that knows nothing is right once in ten, its loss about ln 10 = 2.3.
  EXPECT_LT(trainer.accuracy(data.held_out), 0.35);
  double first = 0, loss = 0;
  for (std::int64_t step = 0; step < 200; ++step) {
    trainer.load_batch(data.train, step * 64);
    loss = trainer.step().loss;
    if (step == 0) first = loss;
  }
  EXPECT_GT(first, 1.5);
  EXPECT_LT(loss, 0.1);
  EXPECT_GT(trainer.accuracy(data.held_out), 0.95);
}

TEST(Trainer, StartsFromTheSameWeightsWhateverTheDevices) {
  const OpGraph model = small_mlp();
  const TaskGraph one = HandLowering(model, 1, 12).graph();
  const TaskGraph three = HandLowering(model, 3, 12).graph();
  HostBackend small(1), large(3);
  const Trainer a(model, one, small, {.seed = 7}), b(model, three, large, {.seed = 7});
  EXPECT_EQ(a.weights(), b.weights());
  EXPECT_EQ(a.weights(), initial_weights(model, 7));
  EXPECT_NE(initial_weights(model, 7), initial_weights(model, 8));
}

TEST(Trainer, GoesOnFromASavedStateExactly) {
  const OpGraph model = small_mlp();
  const Dataset data = data_for(model, 120);
  const TaskGraph graph = HandLowering(model, 2, 12, Optimizer::adam).graph();
  const TrainerOptions options{.optimizer = Optimizer::adam};
  HostBackend first(2), second(2);
  Trainer whole(model, graph, first, options), resumed(model, graph, second, options);
  TrainingState state;
  for (std::int64_t step = 0; step < 10; ++step) {
    if (step == 5) state = whole.state();
    whole.load_batch(data, step * 12);
    whole.step();
  }
  EXPECT_EQ(state.step, 5);
  resumed.restore(state);
  for (std::int64_t step = 5; step < 10; ++step) {
    resumed.load_batch(data, step * 12);
    EXPECT_EQ(resumed.step().step, step + 1);
  }
  EXPECT_EQ(whole.weights(), resumed.weights());
}

TEST(Trainer, RefusesAnotherOptimizerThanTheGraphs) {
  const OpGraph model = small_mlp();
  const TaskGraph graph = HandLowering(model, 1, 12, Optimizer::adam).graph();
  HostBackend backend(1);
  EXPECT_THAT(rejection([&] { Trainer(model, graph, backend, {}); }),
              HasSubstr("expected an update by sgd, got adam"));
}

TEST(Trainer, RefusesDataOfAnotherWidth) {
  const OpGraph model = small_mlp();
  const TaskGraph graph = HandLowering(model, 1, 12).graph();
  HostBackend backend(1);
  Trainer trainer(model, graph, backend, {});
  EXPECT_THAT(rejection([&] { trainer.load_batch(data_for(every_kind(), 12), 0); }),
              HasSubstr("expected data with 6 features, got 5"));
}

TEST(Trainer, RefusesAGraphWithoutAllOfTheModel) {
  const OpGraph model = small_mlp();
  TaskGraph graph = HandLowering(model, 1, 12).graph();
  std::erase_if(graph.placements, [](const Placement& p) {
    return p.role == Placement::Role::parameter && p.tensor == 3;
  });
  HostBackend backend(1);
  EXPECT_THAT(rejection([&] { Trainer(model, graph, backend, {}); }), HasSubstr("fc2.bias"));
}

TEST(Trainer, RefusesLossesThatMissSamples) {
  const OpGraph model = small_mlp();
  TaskGraph graph = HandLowering(model, 2, 12).graph();
  for (Placement& p : graph.placements) {
    if (p.role == Placement::Role::loss && p.row == 6) p.row = 7, p.rows = 5;
  }
  HostBackend backend(2);
  EXPECT_THAT(rejection([&] { Trainer(model, graph, backend, {}); }),
              HasSubstr("the losses do not cover the batch once: sample 6 of 12"));
}

TEST(Trainer, RefusesAStateOfAnotherShape) {
  const OpGraph model = small_mlp();
  const TaskGraph graph = HandLowering(model, 1, 12).graph();
  HostBackend backend(1);
  Trainer trainer(model, graph, backend, {});
  TrainingState state = trainer.state();
  state.weights[0].pop_back();
  EXPECT_THAT(rejection([&] { trainer.restore(state); }),
              HasSubstr("the weights have other shapes"));
  state = trainer.state();
  state.optimizer_state.clear();
  EXPECT_THAT(rejection([&] { trainer.restore(state); }), HasSubstr("sgd keeps 1"));
}

// A label beyond the classes stops the step with one message instead of reading beyond the row.
TEST(Trainer, SaysWhichTaskMetABadLabel) {
  const OpGraph model = small_mlp();
  const TaskGraph graph = HandLowering(model, 2, 12).graph();
  HostBackend backend(2);
  Trainer trainer(model, graph, backend, {});
  Dataset data = data_for(model, 12);
  data.labels[8] = 4;
  trainer.load_batch(data, 0);
  EXPECT_THAT(rejection([&] { trainer.step(); }), HasSubstr("expected a label in 0..3, got 4"));
}

}  // namespace
}  // namespace foreplan
