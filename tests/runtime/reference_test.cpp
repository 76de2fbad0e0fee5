#include "runtime/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/dataset.hpp"
#include "runtime/inference.hpp"
#include "runtime/initialisation.hpp"
#include "tests/runtime/hand_lowered.hpp"

namespace foreplan {
namespace {

// One feature, two classes, W = (w, 0), no bias: scores (w x, 0). At w = 0 the loss is ln 2 and its
// slope (p - 1) x = -x / 2 for label 0.
TEST(Reference, MatchesAHandComputedSlope) {
  const OpGraph model("line", 1,
                      {{.name = "fc",
                        .kind = LayerKind::linear,
                        .in_features = 1,
                        .out_features = 2,
                        .bias = false},
                       {.name = "loss",
                        .kind = LayerKind::softmax_cross_entropy,
                        .in_features = 2,
                        .out_features = 1}},
                      {{kModelInput}, {LayerId{0}}});
  const std::vector<float> samples{3};
  const std::vector<std::int32_t> labels{0};
  const ReferencePass pass = reference_pass(model, {{0, 0}}, {samples, labels});
  EXPECT_NEAR(pass.loss, std::log(2.0), 1e-15);
  EXPECT_NEAR(pass.gradients[0][0], -1.5, 1e-15);
  EXPECT_NEAR(pass.gradients[0][1], 1.5, 1e-15);
}

// Central differences of the loss in every weight: error about h^2 = 1e-10.
TEST(Reference, GradientsEqualNumericalOnes) {
  const OpGraph model = every_kind();
  const Dataset data =
      generate_data({.features = 5, .classes = 3, .train = 4, .held_out = 1}).train;
  const ReferenceState state = reference_start(model, {});
  const ReferenceBatch batch{data.samples, data.labels};
  const ReferencePass pass = reference_pass(model, state.weights, batch);
  constexpr double kStep = 1e-5;
  for (std::size_t t = 0; t < state.weights.size(); ++t) {
    for (std::size_t i = 0; i < state.weights[t].size(); ++i) {
      ReferenceTensors up = state.weights, down = state.weights;
      up[t][i] += kStep;
      down[t][i] -= kStep;
      const double slope =
          (reference_pass(model, up, batch).loss - reference_pass(model, down, batch).loss) /
          (2 * kStep);
      ASSERT_NEAR(pass.gradients[t][i], slope, 1e-7) << "tensor " << t << " element " << i;
    }
  }
}

// The kernels' forward pass ranks classes as fp64 does, over more rows than one block of 256.
TEST(Predict, AgreesWithTheReference) {
  const OpGraph model = every_kind();
  const Dataset data =
      generate_data({.features = 5, .classes = 3, .train = 300, .held_out = 1}).train;
  const ReferenceState state = reference_start(model, {});
  const auto scores = reference_pass(model, state.weights, {data.samples, data.labels}).scores;
  const auto predicted = predict(model, initial_weights(model, 1), data.samples);
  ASSERT_EQ(predicted.size(), 300U);
  for (std::size_t row = 0; row < 300; ++row) {
    const double* s = scores.data() + 3 * row;
    const double best = *std::max_element(s, s + 3);
    EXPECT_NEAR(s[predicted[row]], best, 1e-5);
  }
}

TEST(Accuracy, CountsWhatIsRight) {
  const OpGraph model = every_kind();
  Dataset data = generate_data({.features = 5, .classes = 3, .train = 8, .held_out = 1}).train;
  const Tensors weights = initial_weights(model, 1);
  data.labels = predict(model, weights, data.samples);
  EXPECT_EQ(accuracy(model, weights, data), 1.0);
  data.labels[0] = (data.labels[0] + 1) % 3;
  data.labels[5] = (data.labels[5] + 1) % 3;
  EXPECT_EQ(accuracy(model, weights, data), 0.75);
}

}  // namespace
}  // namespace foreplan
