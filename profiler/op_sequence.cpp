#include "profiler/op_sequence.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "models/op_cost.hpp"
#include "models/operands.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kAlignment = 256;

Bytes aligned(Bytes bytes) {
  return Bytes{(bytes.count + kAlignment - 1) / kAlignment * kAlignment};
}

/// What an op takes from each pool.
struct Needs {
  Bytes reads, writes, labels;
};

Needs needs_of(const OpKey& key) {
  const OperandBytes operands = operand_bytes(key);
  const auto label = label_operand(key);
  Needs needs;
  for (std::size_t i = 0; i < operands.reads.size(); ++i) {
    (label && label->read == i ? needs.labels : needs.reads) += aligned(operands.reads[i]);
  }
  for (const Bytes bytes : operands.writes) needs.writes += aligned(bytes);
  return needs;
}

}  // namespace

OperandPools::OperandPools(TaskGraphBuilder& builder, DeviceId device, std::span<const OpKey> keys,
                           Bytes least)
    : device_(device) {
  Needs most;
  for (const OpKey& key : keys) {
    const Needs needs = needs_of(key);
    most.reads = std::max(most.reads, needs.reads);
    most.writes = std::max(most.writes, needs.writes);
    most.labels = std::max(most.labels, needs.labels);
  }
  const auto make = [&](Pool& pool, Bytes size) {
    if (size == Bytes{}) return;
    pool.size = size;
    pool.buffer = builder.add_buffer({.device = device,
                                      .bytes = size,
                                      .category = BufferCategory::workspace,
                                      .persistent = true});
  };
  make(reads_, std::max(aligned(least), 2 * most.reads));
  make(writes_, std::max(aligned(least), 2 * most.writes));
  make(labels_, most.labels);
}

BufferRange OperandPools::Pool::take(Bytes bytes) {
  if (next + bytes > size) next = {};
  const BufferRange range{.buffer = buffer, .offset = next, .bytes = bytes};
  next += aligned(bytes);
  return range;
}

TaskId OperandPools::add(TaskGraphBuilder& builder, const OpKey& key, StreamId stream,
                         std::vector<TaskId> after) {
  const OperandBytes operands = operand_bytes(key);
  const auto label = label_operand(key);
  TaskSpec task{.device = device_,
                .stream = stream,
                .op = builder.add_op(make_op(key)),
                .after = std::move(after)};
  for (std::size_t i = 0; i < operands.reads.size(); ++i) {
    const bool labels = label && label->read == i;
    if (labels) labels_.next = {};
    task.reads.push_back((labels ? labels_ : reads_).take(operands.reads[i]));
  }
  for (const Bytes bytes : operands.writes) task.writes.push_back(writes_.take(bytes));
  return builder.add(std::move(task));
}

TaskGraph op_sequence(std::span<const OpKey> keys, Bytes least_pool) {
  TaskGraphBuilder builder(1);
  OperandPools pools(builder, DeviceId{0}, keys, least_pool);
  for (const OpKey& key : keys) pools.add(builder, key, kComputeStream);
  return std::move(builder).build();
}

}  // namespace foreplan
