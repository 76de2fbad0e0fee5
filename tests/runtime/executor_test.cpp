#include "runtime/executor.hpp"

#include "runtime/host_backend.hpp"
#include "tests/runtime/executor_contract.hpp"

namespace foreplan {
namespace {

const BackendMaker kHost{.name = "Host", .make = [](int devices) -> std::unique_ptr<Backend> {
                           return std::make_unique<HostBackend>(devices);
                         }};

INSTANTIATE_TEST_SUITE_P(All, ExecutorContract, testing::Values(kHost), maker_name);
INSTANTIATE_TEST_SUITE_P(
    All, CollectiveContract,
    testing::Combine(testing::Values(kHost),
                     testing::Values(CollectiveAlgorithm::ring, CollectiveAlgorithm::direct,
                                     CollectiveAlgorithm::tree, CollectiveAlgorithm::double_tree,
                                     CollectiveAlgorithm::recursive_doubling,
                                     CollectiveAlgorithm::halving_doubling)),
    collective_name);

std::string refusal(const TaskGraph& graph, int devices = 2) {
  HostBackend backend(devices);
  return rejection([&] { Executor(graph, backend); });
}

TEST(Executor, RefusesMoreDevicesThanThereAre) {
  EXPECT_THAT(refusal(Pair().graph(), 1), HasSubstr("the graph has 2 devices, the host backend 1"));
}

TEST(Executor, RefusesATransferWithoutData) {
  TaskGraphBuilder builder(2);
  builder.add({.kind = TaskKind::transfer,
               .device = DeviceId{1},
               .source = DeviceId{0},
               .bytes = floats(4),
               .name = "send"});
  const std::string what = refusal(std::move(builder).build());
  EXPECT_THAT(what, HasSubstr("send"));
  EXPECT_THAT(what, HasSubstr("expected 1 reads, got 0"));
}

TEST(Executor, RefusesAnOpWithoutKernel) {
  TaskGraphBuilder builder(1);
  const OpId op =
      builder.add_op({.key = {.op = "think", .shape = {1}}, .flops = {}, .traffic = {}});
  builder.add({.op = op});
  EXPECT_THAT(refusal(std::move(builder).build()), HasSubstr("think.forward"));
}

TEST(Executor, RefusesOperandsTooSmall) {
  TaskGraphBuilder builder(1);
  const OpId op = builder.add_op({.key = {.op = "relu", .shape = {4}}, .flops = {}, .traffic = {}});
  const BufferId b = builder.add_buffer({.bytes = floats(4), .persistent = true});
  builder.add(
      {.op = op, .reads = {{b, Bytes{0}, floats(4)}}, .writes = {{b, Bytes{0}, floats(3)}}});
  EXPECT_THAT(refusal(std::move(builder).build()),
              HasSubstr("writes 0: expected 16 bytes, got 12"));
}

TEST(Executor, RefusesAGraphWithARace) {
  TaskGraphBuilder builder(1);
  const OpId op = builder.add_op({.key = {.op = "relu", .shape = {4}}, .flops = {}, .traffic = {}});
  const BufferId b = builder.add_buffer({.bytes = floats(4), .persistent = true});
  const BufferRange range{b, Bytes{0}, floats(4)};
  builder.add({.stream = kComputeStream, .op = op, .reads = {range}, .writes = {range}});
  builder.add({.stream = kCopyInStream, .op = op, .reads = {range}, .writes = {range}});
  EXPECT_THAT(refusal(std::move(builder).build()), HasSubstr("races with task 1"));
}

TEST(Executor, ReadsAndWritesWholeRangesOfPersistentBuffersOnly) {
  Pair pair;
  const BufferRange x = pair.x;
  const TaskGraph graph = std::move(pair).graph();
  HostBackend backend(2);
  Executor executor(graph, backend);
  const std::vector<float> three(3);
  EXPECT_THAT(rejection([&] { write(executor, x, three); }),
              HasSubstr("expected 16 bytes, got 12"));
  EXPECT_THAT(rejection([&] {
                write(executor, {x.buffer, Bytes{8}, floats(3)}, three);
              }),
              HasSubstr("bytes 8 to 20 are outside its 16 bytes"));
  EXPECT_THAT(rejection([&] {
                write(executor, {BufferId{2}, Bytes{0}, floats(3)}, three);
              }),
              HasSubstr("only persistent"));
}

}  // namespace
}  // namespace foreplan
