#include "profiler/calibration.hpp"

#include <utility>

#include "models/op_cost.hpp"
#include "sim/collective.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kFloat = 4;  ///< bytes of an fp32 number
constexpr std::int64_t kTiny = 16;  ///< elements of an op that does next to nothing

DeviceId device_at(int i) { return DeviceId{i}; }

BufferRange block(TaskGraphBuilder& builder, DeviceId device, Bytes bytes) {
  const BufferId id = builder.add_buffer({.device = device,
                                          .bytes = bytes,
                                          .category = BufferCategory::workspace,
                                          .persistent = true});
  return {.buffer = id, .offset = {}, .bytes = bytes};
}

OpId op_of(TaskGraphBuilder& builder, const char* name, std::int64_t elements) {
  return builder.add_op(make_op({.op = name, .pass = Pass::forward, .shape = {elements}}));
}

/// The blocks of one device for one size.
struct Blocks {
  BufferRange seed, written, pulled, sum;
};

/// Adds one round of writing, pulling and adding on all devices.
///
/// @param released  by device: who must have read its written block before it is written again
void add_copy_round(TaskGraphBuilder& builder, const std::vector<Blocks>& blocks,
                    std::vector<std::vector<TaskId>>& released) {
  const std::size_t devices = blocks.size();
  const Bytes bytes = blocks.front().seed.bytes;
  std::vector<TaskId> written;
  for (std::size_t i = 0; i < devices; ++i) {
    const DeviceId device = device_at(static_cast<int>(i));
    written.push_back(builder.add({.kind = TaskKind::compute,
                                   .device = device,
                                   .op = op_of(builder, "copy", bytes.count / kFloat),
                                   .after = std::exchange(released[i], {}),
                                   .reads = {blocks[i].seed},
                                   .writes = {blocks[i].written}}));
  }
  for (std::size_t i = 0; i < devices; ++i) {
    const DeviceId device = device_at(static_cast<int>(i));
    const std::size_t left = (i + devices - 1) % devices;
    const TaskId pull = builder.add({.kind = TaskKind::transfer,
                                     .device = device,
                                     .source = device_at(static_cast<int>(left)),
                                     .bytes = bytes,
                                     .after = {written[left]},
                                     .reads = {blocks[left].written},
                                     .writes = {blocks[i].pulled}});
    released[left].push_back(pull);
    builder.add({.kind = TaskKind::compute,
                 .device = device,
                 .op = op_of(builder, "accumulate", bytes.count / kFloat),
                 .reads = {blocks[i].pulled},
                 .writes = {blocks[i].sum}});
  }
}

/// What an op that does next to nothing reads and writes, by device.
using TinyBlocks = std::pair<BufferRange, BufferRange>;
std::vector<TinyBlocks> tiny_blocks(TaskGraphBuilder& builder, int devices) {
  std::vector<TinyBlocks> blocks;
  for (int i = 0; i < devices; ++i) {
    blocks.emplace_back(block(builder, device_at(i), Bytes{kFloat * kTiny}),
                        block(builder, device_at(i), Bytes{kFloat * kTiny}));
  }
  return blocks;
}

/// Has each device copy a block, so that it is busy while the rest is handed out to it.
void add_head_start(TaskGraphBuilder& builder, int devices, Bytes bytes) {
  const std::int64_t elements = bytes.count / kFloat;
  if (elements == 0) return;
  const OpId copy = op_of(builder, "copy", elements);
  for (int i = 0; i < devices; ++i) {
    const BufferRange from = block(builder, device_at(i), kFloat * Bytes{elements});
    const BufferRange to = block(builder, device_at(i), kFloat * Bytes{elements});
    builder.add({.device = device_at(i), .op = copy, .reads = {from}, .writes = {to}});
  }
}

void check_devices(int devices) {
  if (devices < 2) reject("calibration: copies need at least two devices");
}

}  // namespace

void CopySizes::add(const TaskGraph& graph) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.kind[i] == TaskKind::transfer) sizes.insert(graph.bytes[i]);
  }
}

void CopySizes::add_grid(Bytes most) {
  for (Bytes size = Bytes{4096}; size <= most; size = size * 4) sizes.insert(size);
}

TaskGraph copy_graph(int devices, const CopySizes& sizes, int repeats) {
  check_devices(devices);
  TaskGraphBuilder builder(devices);
  for (const Bytes size : sizes.sizes) {
    const Bytes whole{(size.count + kFloat - 1) / kFloat * kFloat};
    std::vector<Blocks> blocks;
    for (int i = 0; i < devices; ++i) {
      const DeviceId device = device_at(i);
      blocks.push_back({.seed = block(builder, device, whole),
                        .written = block(builder, device, whole),
                        .pulled = block(builder, device, whole),
                        .sum = block(builder, device, whole)});
    }
    std::vector<std::vector<TaskId>> released(static_cast<std::size_t>(devices));
    for (int i = 0; i < repeats; ++i) add_copy_round(builder, blocks, released);
  }
  return std::move(builder).build();
}

TaskGraph handover_graph(int devices, int rounds, Bytes head_start) {
  check_devices(devices);
  TaskGraphBuilder builder(devices);
  add_head_start(builder, devices, head_start);
  const OpId tiny = op_of(builder, "copy", kTiny);
  const std::vector<TinyBlocks> blocks = tiny_blocks(builder, devices);
  std::vector<TaskId> before;
  for (int i = 0; i < rounds * devices; ++i) {
    const auto& [from, to] = blocks[static_cast<std::size_t>(i % devices)];
    before = {builder.add({.kind = TaskKind::compute,
                           .device = device_at(i % devices),
                           .op = tiny,
                           .after = before,
                           .reads = {from},
                           .writes = {to}})};
  }
  return std::move(builder).build();
}

TaskGraph barrier_graph(int devices, int rounds, Bytes head_start) {
  check_devices(devices);
  TaskGraphBuilder builder(devices);
  add_head_start(builder, devices, head_start);
  const OpId tiny = op_of(builder, "copy", kTiny);
  const std::vector<TinyBlocks> blocks = tiny_blocks(builder, devices);
  std::vector<TaskId> before;
  for (int round = 0; round < rounds; ++round) {
    std::vector<TaskId> here;
    for (int i = 0; i < devices; ++i) {
      const auto& [from, to] = blocks[static_cast<std::size_t>(i)];
      here.push_back(builder.add({.kind = TaskKind::compute,
                                  .device = device_at(i),
                                  .op = tiny,
                                  .after = before,
                                  .reads = {from},
                                  .writes = {to}}));
    }
    before = std::move(here);
  }
  return std::move(builder).build();
}

TaskGraph collective_graph(int devices, const std::vector<Bytes>& sizes) {
  check_devices(devices);
  TaskGraphBuilder builder(devices);
  for (const Bytes size : sizes) {
    CollectiveSpec ring{.kind = CollectiveKind::all_reduce,
                        .group = {},
                        .bytes = Bytes{(size.count + kFloat - 1) / kFloat * kFloat},
                        .stream = kComputeStream};
    for (int i = 0; i < devices; ++i) {
      ring.group.push_back(device_at(i));
      ring.data.push_back(block(builder, device_at(i), ring.bytes));
    }
    expand_collective(builder, ring);
  }
  return std::move(builder).build();
}

}  // namespace foreplan
