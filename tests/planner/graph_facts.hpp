#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "planner/lowering.hpp"
#include "sim/task_graph.hpp"

// What a lowered graph consists of, counted for tests.

namespace foreplan {

/// A strategy of `model`'s size as lower() wants it, with options that most tests need.
inline TaskGraph lowered(const OpGraph& model, std::string_view strategy, std::int64_t batch,
                         const LoweringOptions& options = {}) {
  return lower(model, parse_strategy(strategy), batch, options);
}

inline bool is_transfer(const TaskGraph& graph, std::size_t task) {
  return graph.kind[task] == TaskKind::transfer;
}

inline const OpKey& key_of(const TaskGraph& graph, std::size_t task) {
  return graph.ops[index(graph.op[task])].key;
}

/// How many tasks there are of each kind: "linear.forward", "transfer", ...
inline std::map<std::string, int> task_counts(const TaskGraph& graph) {
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i)) {
      ++counts["transfer"];
    } else {
      const OpKey& key = key_of(graph, i);
      ++counts[key.op + "." + std::string(name(key.pass))];
    }
  }
  return counts;
}

/// The compute tasks of a device in order of its stream, as "linear.forward 0", with the micro-batch.
inline std::vector<std::string> compute_order(const TaskGraph& graph, int device) {
  std::vector<std::string> order;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.device[i] != DeviceId{device} || graph.stream[i] != kComputeStream) continue;
    if (is_transfer(graph, i)) {
      order.push_back("transfer");
      continue;
    }
    const OpKey& key = key_of(graph, i);
    std::string text = key.op + "." + std::string(name(key.pass));
    if (graph.micro_batch[i] >= 0) text += " " + std::to_string(graph.micro_batch[i]);
    order.push_back(text);
  }
  return order;
}

/// Bytes that a device pulls from others.
inline Bytes pulled_bytes(const TaskGraph& graph, int device) {
  Bytes sum;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i) && graph.device[i] == DeviceId{device}) sum += graph.bytes[i];
  }
  return sum;
}

inline Bytes pulled_bytes(const TaskGraph& graph) {
  Bytes sum;
  for (int device = 0; device < graph.devices; ++device) sum += pulled_bytes(graph, device);
  return sum;
}

/// 2 m k n of every matrix product of a pass, over all devices.
inline double product_flops(const TaskGraph& graph, Pass pass) {
  double sum = 0;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i)) continue;
    const OpKey& key = key_of(graph, i);
    if (key.pass != pass || (key.op != "linear" && key.op != "matmul")) continue;
    sum += 2.0 * static_cast<double>(key.shape[0] * key.shape[1] * key.shape[2]);
  }
  return sum;
}

}  // namespace foreplan
