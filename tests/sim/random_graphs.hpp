#pragma once

#include <random>
#include <vector>

#include "tests/sim/graphs.hpp"

namespace foreplan {

/// A random graph with streams, dependencies to earlier and to later ids, dispatch and hand-over.
inline PricedGraph random_graph(std::mt19937& random, bool flows) {
  constexpr int kDevices = 4;
  constexpr int kTasks = 80;
  PricedBuilder builder(kDevices);
  std::vector<TaskId> shuffled;
  for (int i = 0; i < kTasks; ++i) {
    std::vector<TaskId> after;
    for (int k = 0; i > 0 && k < static_cast<int>(random() % 4); ++k) {
      after.push_back(shuffled[random() % shuffled.size()]);
    }
    const int device = static_cast<int>(random() % kDevices);
    const Duration duration(random() % 1000);
    if (random() % 3 == 0) {
      const int source = static_cast<int>(random() % kDevices);
      const Bytes flow{flows ? static_cast<std::int64_t>(random() % 2000) : 0};
      shuffled.push_back(builder.transfer({source, device}, flow, duration, after));
    } else {
      const auto stream = static_cast<StreamId>(static_cast<int>(random() % 3) - 1);
      shuffled.push_back(builder.add(
          {.device = DeviceId{device}, .stream = stream, .op = builder.op(), .after = after},
          duration));
    }
  }
  builder.costs().dispatch = Duration(random() % 10);
  builder.costs().handover = Duration(random() % 30);
  return std::move(builder).build();
}

}  // namespace foreplan
