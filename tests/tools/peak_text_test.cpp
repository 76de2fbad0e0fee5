#include "tools/peak_text.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Device 0 holds 100 B; device 1 holds 60 B of weights, 10 B of each micro-batch of `front`, which frees
/// none of them before 3 s, and 4 B of `back`: 94 B at 2 s. Without the weights of device 0 that is the peak.
Forecast forecast_with(Bytes of_device_0) {
  TaskGraphBuilder builder(2);
  const std::int32_t front = builder.add_node_name("front"), back = builder.add_node_name("back");
  const OpId op = builder.add_op({.key = {.op = "relu", .shape = {2}}, .flops = {}, .traffic = {}});
  const auto keep = [&](int device, Bytes bytes) {
    builder.add_buffer({.device = DeviceId{device},
                        .bytes = bytes,
                        .category = BufferCategory::parameter,
                        .persistent = true});
  };
  keep(0, of_device_0);
  keep(1, 60_B);
  std::vector<BufferId> kept;
  for (int i = 0; i < 3; ++i) {
    kept.push_back(builder.add_buffer({.device = DeviceId{1}, .bytes = 10_B}));
    builder.add({.device = DeviceId{1},
                 .op = op,
                 .node = front,
                 .micro_batch = i,
                 .allocates = {kept.back()}});
  }
  const BufferId last = builder.add_buffer(
      {.device = DeviceId{1}, .bytes = 4_B, .category = BufferCategory::workspace});
  kept.push_back(last);
  builder.add({.device = DeviceId{1}, .op = op, .node = back, .allocates = {last}, .frees = kept});
  Forecast forecast;
  forecast.graph = std::move(builder).build();
  forecast.timeline = {{0s, 1s, 1500ms, 2s}, {1s, 1500ms, 2s, 3s}};
  forecast.estimate.stages.resize(2);
  return forecast;
}

TEST(DescribePeak, TellsWhenItIsAndWhatHoldsIt) {
  EXPECT_EQ(
      describe_peak(forecast_with(50_B)),
      "peak 94 B on stage 1 at 2 s, as 'back relu.forward' starts\n"
      "held by 60 B parameter, 30 B activation of front (micro-batches 0 to 2), 4 B workspace of "
      "back\n");
}

TEST(DescribePeak, TellsWhatIsReservedWhereThatIsKnown) {
  Forecast forecast = forecast_with(100_B);
  forecast.estimate.stages[0].reserved = 2_MB;
  EXPECT_EQ(describe_peak(forecast),
            "peak 100 B on stage 0 at 0 s; reserved 2 MB\nheld by 100 B parameter\n");
}

TEST(DescribePeak, TellsOfStateAloneWhereNothingElseIsHeld) {
  EXPECT_EQ(describe_peak(forecast_with(100_B)),
            "peak 100 B on stage 0 at 0 s\nheld by 100 B parameter\n");
}

}  // namespace
}  // namespace foreplan
