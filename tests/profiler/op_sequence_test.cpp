#include "profiler/op_sequence.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/operands.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using testing::SizeIs;

const OpKey kAdd{.op = "add", .shape = {100}};  // reads 400 B twice, writes 400 B

TEST(OpSequence, RunsEachOpOnceInOrderWithOperandsThatFit) {
  const std::vector<OpKey> keys{
      kAdd,
      {.op = "linear", .pass = Pass::backward_weight, .shape = {4, 5, 6}, .dtype = DType::bf16},
      {.op = "adam", .pass = Pass::optimizer, .shape = {64}}};
  const TaskGraph graph = op_sequence(keys, 4_KiB);
  ASSERT_EQ(graph.size(), keys.size());
  for (std::size_t t = 0; t < keys.size(); ++t) {
    EXPECT_EQ(graph.ops[index(graph.op[t])].key, keys[t]);
    EXPECT_EQ(graph.stream[t], kComputeStream);
    const OperandBytes operands = operand_bytes(keys[t]);
    ASSERT_THAT(graph.reads[t], SizeIs(operands.reads.size()));
    ASSERT_THAT(graph.writes[t], SizeIs(operands.writes.size()));
    for (std::size_t i = 0; i < operands.reads.size(); ++i) {
      EXPECT_EQ(graph.reads[t][i].bytes, operands.reads[i]);
      EXPECT_EQ(graph.reads[t][i].offset.count % 256, 0);
    }
  }
}

// Operands take 512 B each, rounded up to 256: a read pool of 4096 B holds four adds, so the fifth
// finds itself where the first was, and the second behind the first.
TEST(OpSequence, MovesOnThroughThePoolsAndAround) {
  const TaskGraph graph = op_sequence(std::vector<OpKey>(5, kAdd), 4_KiB);
  const auto at = [&](std::size_t task) { return graph.reads[task][0].offset.count; };
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(at(1), 1024);
  EXPECT_EQ(at(4), 0);
  ASSERT_THAT(graph.buffers, SizeIs(2));
  EXPECT_EQ(graph.buffers[0].bytes, 4_KiB);
}

// Twice what the largest op needs: 2 * 1024 B of reads, 2 * 512 B of writes.
TEST(OpSequence, NeverReadsWhatTheOpBeforeRead) {
  const TaskGraph graph = op_sequence(std::vector<OpKey>(2, kAdd), {});
  EXPECT_EQ(graph.buffers[0].bytes, 2_KiB);
  EXPECT_EQ(graph.buffers[1].bytes, 1_KiB);
  EXPECT_NE(graph.reads[0][0].offset, graph.reads[1][0].offset);
}

TEST(OpSequence, KeepsLabelsApartFromNumbers) {
  const OpKey loss{.op = "softmax_cross_entropy", .shape = {8, 10}};
  const TaskGraph graph = op_sequence(std::vector<OpKey>(3, loss), 1_KiB);
  ASSERT_THAT(graph.buffers, SizeIs(3));
  for (std::size_t t = 0; t < 3; ++t) {
    EXPECT_NE(graph.reads[t][0].buffer, graph.reads[t][1].buffer);
    EXPECT_EQ(graph.reads[t][1].buffer, graph.reads[0][1].buffer);
    EXPECT_EQ(graph.reads[t][1].offset, 0_B);
  }
}

TEST(OpSequence, RefusesWhatNoKernelKnows) {
  const std::vector<OpKey> keys{{.op = "sing", .shape = {4}}};
  EXPECT_THROW(op_sequence(keys, {}), Error);
}

}  // namespace
}  // namespace foreplan
