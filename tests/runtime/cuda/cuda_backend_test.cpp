#include "runtime/cuda/cuda_backend.hpp"

#include "tests/runtime/cuda/gpu.hpp"
#include "tests/runtime/executor_contract.hpp"

namespace foreplan {
namespace {

BackendMaker cuda_maker(std::string name, bool graph) {
  return {.name = std::move(name),
          .make = [graph](int devices) -> std::unique_ptr<Backend> {
            return std::make_unique<CudaBackend>(CudaOptions{
                .devices = devices, .graph = graph, .workspace_bytes = std::size_t{1} << 20});
          },
          .why_not = no_gpu,
          .skew = std::chrono::microseconds(20)};  // between GPUs, see StepClock
}

const BackendMaker kStreams = cuda_maker("Cuda", false);
const BackendMaker kGraph = cuda_maker("CudaGraph", true);

INSTANTIATE_TEST_SUITE_P(Copy, BackendContract, testing::Values(kStreams, kGraph), maker_name);
INSTANTIATE_TEST_SUITE_P(Copy, ExecutorContract, testing::Values(kStreams, kGraph), maker_name);
INSTANTIATE_TEST_SUITE_P(RingAndDirect, CollectiveContract,
                         testing::Combine(testing::Values(kStreams, kGraph),
                                          testing::Values(CollectiveAlgorithm::ring,
                                                          CollectiveAlgorithm::direct)),
                         collective_name);

class CudaBackendTest : public GpuTest {};

// Two streams without an event between them: on a GPU they may overlap, and each keeps its own order.
TEST_F(CudaBackendTest, StreamsKeepTheirOwnOrder) {
  Floats f(kStreams, 1);
  const BackendStream a = f.backend->add_stream(DeviceId{0});
  const BackendStream b = f.backend->add_stream(DeviceId{0});
  f.set(0, 0, 1);
  f.set(0, 8, 1);
  for (int i = 0; i < 5; ++i) {
    f.add(a, f.at(0, 0), f.at(0, 0), f.at(0, 0));
    f.add(b, f.at(0, 8), f.at(0, 8), f.at(0, 8));
  }
  f.run();
  EXPECT_EQ(f.value(0, 0), 32);
  EXPECT_EQ(f.value(0, 8), 32);
}

TEST_F(CudaBackendTest, RefusesAGraphThatIsTraced) {
  struct Nobody final : ActivityTracer {
    void begin_task(TaskId) override {}
    void end_task() override {}
    MeasuredStep collect(std::size_t) override { return {}; }
  } tracer;
  EXPECT_THAT(rejection([&] { CudaBackend both({.devices = 1, .graph = true, .tracer = &tracer}); }),
              HasSubstr("expected one of the two"));
}

TEST_F(CudaBackendTest, AsksTheTracerAboutEveryTask) {
  struct Counter final : ActivityTracer {
    void begin_task(TaskId task) override { begun.push_back(task); }
    void end_task() override { ++ended; }
    MeasuredStep collect(std::size_t tasks) override {
      return {.timeline = {std::vector<Duration>(tasks), std::vector<Duration>(tasks, Duration(5))},
              .disturbed = {}};
    }
    std::vector<TaskId> begun;
    int ended = 0;
  } tracer;
  CudaBackend backend({.devices = 1, .tracer = &tracer, .workspace_bytes = 1 << 20});
  backend.reserve(DeviceId{0}, Bytes{64});
  const BackendStream stream = backend.add_stream(DeviceId{0});
  std::byte* const at = backend.address(DeviceId{0}, Bytes{0});
  backend.copy(stream, TaskId{1}, at, at + 16, Bytes{4});
  backend.launch(stream, TaskId{0}, kAdd, {at, at}, {at + 16});
  const MeasuredStep step = backend.run(2, {});
  EXPECT_EQ(tracer.begun, (std::vector<TaskId>{TaskId{1}, TaskId{0}}));
  EXPECT_EQ(tracer.ended, 2);
  EXPECT_EQ(step.timeline.finish[1], Duration(5));
}

TEST_F(CudaBackendTest, TellsHowCopiesGo) {
  CudaBackend backend({.devices = 64});
  int gpus = 0;
  check(cudaGetDeviceCount(&gpus), "cudaGetDeviceCount");
  EXPECT_EQ(backend.copy_path(DeviceId{0}, DeviceId{gpus}), CopyPath::same_gpu);
  if (gpus > 1) {
    EXPECT_NE(backend.copy_path(DeviceId{0}, DeviceId{1}), CopyPath::same_gpu);
  }
}

}  // namespace
}  // namespace foreplan
