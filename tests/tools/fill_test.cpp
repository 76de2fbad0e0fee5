#include "tools/fill.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>
#include <span>

#include "profiler/op_sequence.hpp"
#include "runtime/host_backend.hpp"

namespace foreplan {
namespace {

template <typename T>
std::vector<T> contents(Executor& executor, BufferId id) {
  const Bytes bytes = executor.graph().buffers[index(id)].bytes;
  std::vector<T> values(static_cast<std::size_t>(bytes.count) / sizeof(T));
  executor.read({.buffer = id, .offset = {}, .bytes = bytes},
                std::as_writable_bytes(std::span(values)));
  return values;
}

TEST(Fill, LeavesSmallNumbersInEveryFormat) {
  const std::vector<OpKey> keys{{.op = "relu", .shape = {1000}}};
  const TaskGraph graph = op_sequence(keys, {});
  HostBackend backend(1);
  Executor executor(graph, backend);
  fill(executor);
  const BufferId reads = graph.reads[0][0].buffer;
  for (const float number : contents<float>(executor, reads)) EXPECT_LE(std::abs(number), 0.05F);
  for (const std::uint16_t half : contents<std::uint16_t>(executor, reads)) {
    EXPECT_LE(std::abs(std::bit_cast<float>(std::uint32_t{half} << 16)), 0.05F);  // bf16
    EXPECT_NE(half & 0x7C00U, 0x7C00U);  // fp16: neither infinite nor not a number
  }
}

TEST(Fill, SpreadsLabelsOverTheirClasses) {
  const std::vector<OpKey> keys{{.op = "softmax_cross_entropy", .shape = {40, 10}},
                                {.op = "softmax_cross_entropy", .shape = {40, 7}}};
  const TaskGraph graph = op_sequence(keys, {});
  HostBackend backend(1);
  Executor executor(graph, backend);
  fill(executor);
  const auto labels = contents<std::int32_t>(executor, graph.reads[0][1].buffer);
  EXPECT_EQ(std::set(labels.begin(), labels.end()), (std::set{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_NO_THROW(executor.step({.step = 1, .global_batch = 40}));
}

}  // namespace
}  // namespace foreplan
