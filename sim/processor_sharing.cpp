#include "sim/processor_sharing.hpp"

#include <algorithm>
#include <cmath>

namespace foreplan {

ProcessorSharing::ProcessorSharing(std::size_t processors, std::size_t tasks)
    : processors_(processors), place_(tasks, -1) {}

void ProcessorSharing::progress(Processor& processor, Duration now) {
  const auto passed = static_cast<long double>((now - processor.since).count());
  for (Running& one : processor.running) {
    one.left = std::max(0.0L, one.left - passed * static_cast<long double>(processor.rate));
  }
  processor.since = now;
}

void ProcessorSharing::mark(std::int32_t processor) {
  Processor& one = processors_[static_cast<std::size_t>(processor)];
  if (!one.changed) changed_.push_back(processor);
  one.changed = true;
}

void ProcessorSharing::begin(TaskId task, std::int32_t processor, const Demand& demand,
                             Duration work, Duration now) {
  Processor& one = processors_[static_cast<std::size_t>(processor)];
  progress(one, now);
  one.running.push_back(
      {.task = task, .demand = demand, .left = static_cast<long double>(work.count())});
  place_[index(task)] = processor;
  mark(processor);
}

void ProcessorSharing::end(TaskId task, Duration now) {
  const std::int32_t processor = place_[index(task)];
  Processor& one = processors_[static_cast<std::size_t>(processor)];
  progress(one, now);
  std::erase_if(one.running, [&](const Running& r) { return r.task == task; });
  place_[index(task)] = -1;
  mark(processor);
}

std::span<const ProcessorSharing::Due> ProcessorSharing::reschedule(Duration now) {
  due_.clear();
  for (const std::int32_t number : changed_) {
    Processor& one = processors_[static_cast<std::size_t>(number)];
    one.changed = false;
    double multiprocessors = 0, bandwidth = 0;
    for (const Running& r : one.running) {
      multiprocessors += r.demand.multiprocessors;
      bandwidth += r.demand.bandwidth;
    }
    one.rate = 1 / std::max({1.0, multiprocessors, bandwidth});
    for (const Running& r : one.running) {
      const long double rest = r.left / static_cast<long double>(one.rate);
      due_.push_back({r.task, now + Duration(std::llrint(rest))});
    }
  }
  changed_.clear();
  return due_;
}

}  // namespace foreplan
