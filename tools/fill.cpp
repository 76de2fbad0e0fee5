#include "tools/fill.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "models/operands.hpp"

namespace foreplan {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;  ///< numbers; longer buffers repeat them

/// The buffers that hold labels or ids, and the least number of classes that an op expects there.
std::map<BufferId, std::int64_t> label_buffers(const TaskGraph& graph) {
  std::map<BufferId, std::int64_t> classes;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.kind[i] == TaskKind::transfer) continue;
    const auto label = label_operand(graph.ops[index(graph.op[i])].key);
    if (!label) continue;
    std::int64_t& least = classes
                              .try_emplace(graph.reads[i][label->read].buffer,
                                           std::numeric_limits<std::int64_t>::max())
                              .first->second;
    least = std::min(least, label->classes);
  }
  for (const Placement& placement : graph.placements) {
    if (placement.role == Placement::Role::label) classes.try_emplace(placement.range.buffer, 1);
  }
  return classes;
}

/// Words whose two halves are the same 16 bits: a small number as fp32, as bf16 and as fp16.
std::vector<std::uint32_t> small_numbers() {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> small(-0.05F, 0.05F);
  std::vector<std::uint32_t> words(kBlock);
  std::generate(words.begin(), words.end(), [&] {
    const std::uint32_t half = std::bit_cast<std::uint32_t>(small(random)) >> 16;
    return half << 16 | half;
  });
  return words;
}

std::vector<std::uint32_t> labels_below(std::int64_t classes) {
  constexpr std::int64_t kStride = 7919;  // a prime: neighbours lie far apart
  std::vector<std::uint32_t> words(kBlock);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = static_cast<std::uint32_t>(static_cast<std::int64_t>(i) * kStride % classes);
  }
  return words;
}

void write(Executor& executor, BufferId id, const std::vector<std::uint32_t>& words) {
  const Bytes size = executor.graph().buffers[index(id)].bytes;
  for (Bytes at; at < size;) {
    const Bytes bytes{std::min<std::int64_t>((size - at).count, kBlock * sizeof(std::uint32_t))};
    executor.write({.buffer = id, .offset = at, .bytes = bytes},
                   std::as_bytes(std::span(words)).first(static_cast<std::size_t>(bytes.count)));
    at += bytes;
  }
}

}  // namespace

void fill(Executor& executor) {
  const TaskGraph& graph = executor.graph();
  const std::map<BufferId, std::int64_t> labels = label_buffers(graph);
  const std::vector<std::uint32_t> numbers = small_numbers();
  for (std::size_t i = 0; i < graph.buffers.size(); ++i) {
    const BufferId id{static_cast<std::int32_t>(i)};
    const Buffer& buffer = graph.buffers[i];
    if (!buffer.persistent || buffer.category == BufferCategory::optimizer_state) continue;
    const auto label = labels.find(id);
    write(executor, id, label == labels.end() ? numbers : labels_below(label->second));
  }
}

}  // namespace foreplan
