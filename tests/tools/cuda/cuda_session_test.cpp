#include "tools/cuda_session.hpp"

#include <gmock/gmock.h>

#include "profiler/copy_patterns.hpp"
#include "profiler/op_sequence.hpp"
#include "tests/runtime/cuda/gpu.hpp"
#include "tests/tools/cuda/linked_half.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class CudaSessionTest : public GpuTest {};

TEST_F(CudaSessionTest, TimesTasksByWhatRanOnTheGpu) {
  CudaSession session(linked_half(), 1);
  const std::vector<OpKey> keys{{.op = "add", .shape = {4096}},
                                {.op = "linear", .shape = {16, 32, 16}},
                                {.op = "softmax_cross_entropy", .shape = {8, 10}}};
  const std::size_t loaded = session.load(op_sequence(keys, {}));
  const MeasuredStep step = session.step(loaded);
  ASSERT_THAT(step.timeline.start, SizeIs(3));
  EXPECT_EQ(step.timeline.start[0], Duration{});
  for (std::size_t t = 0; t < 3; ++t) {
    EXPECT_GT(step.timeline.finish[t], step.timeline.start[t]);
    const Duration before = t > 0 ? step.timeline.finish[t - 1] : Duration{};
    EXPECT_GE(step.timeline.start[t], before);
    EXPECT_GT(step.multiprocessors.at(t), 0);
    EXPECT_LE(step.multiprocessors.at(t), 1);
  }
  EXPECT_GT(step.issued, Duration{});
  EXPECT_EQ(session.choice(loaded, TaskId{0}), "");
  EXPECT_THAT(session.choice(loaded, TaskId{1}), HasSubstr("algorithm"));
}

TEST_F(CudaSessionTest, KeepsGraphsReadySideBySide) {
  CudaSession session(linked_half(), 2);
  const std::vector<OpKey> keys{{.op = "relu", .shape = {256}}};
  const std::size_t ops = session.load(op_sequence(keys, {}));
  const std::size_t copies =
      session.load(pattern_graph(2, {"one way", {{DeviceId{0}, DeviceId{1}}}}, 4_KiB, 3));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(session.step(ops).timeline.start, SizeIs(1));
    const Timeline timeline = session.step(copies).timeline;
    ASSERT_THAT(timeline.start, SizeIs(3));
    EXPECT_GT(timeline.finish[2], timeline.finish[1]);
  }
  session.unload(ops);
  EXPECT_THAT(session.step(copies).timeline.start, SizeIs(3));
}

TEST_F(CudaSessionTest, CopiesFromAndToTheHost) {
  CudaSession session(linked_half(), 1);
  EXPECT_GT(session.host_copy(DeviceId{0}, 1_MB, true), Duration{});
  EXPECT_GT(session.host_copy(DeviceId{0}, 1_MB, false), Duration{});
}

TEST_F(CudaSessionTest, KnowsThatLogicalDevicesShareAGpu) {
  CudaSession session(linked_half(), 1);
  const auto devices = static_cast<int>(session.gpus().size()) + 1;
  EXPECT_EQ(session.path(DeviceId{0}, DeviceId{0}), "same_gpu");
  EXPECT_EQ(session.devices(), 1);
  EXPECT_GE(devices, 2);
}

}  // namespace
}  // namespace foreplan
