#include "sim/processor_sharing.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace foreplan {
namespace {

/// One resource of a processor: what is wanted of it, and how fast those go that want it.
struct Resource {
  double shared = 0;  ///< wanted by kernels
  double held = 0;    ///< wanted by communication

  /// @param communications  how many run
  void split(int communications, bool kernels) {
    const double most = kernels ? communications / (communications + 1.0) : 1.0;
    const double taken = std::min(held, most);
    kernel_rate = shared > 1 - taken ? (1 - taken) / shared : 1;
    held_rate = held > taken ? taken / held : 1;
  }
  double kernel_rate = 1, held_rate = 1;
};

}  // namespace

void ProcessorSharing::progress(Processor& processor, Duration now) {
  const auto passed = static_cast<long double>((now - processor.since).count());
  for (Running& one : processor.running) {
    one.left = std::max(0.0L, one.left - passed * static_cast<long double>(one.rate));
  }
  processor.since = now;
}

void ProcessorSharing::mark(std::int32_t number) {
  if (std::exchange(processor(number).changed, true)) return;
  changed_.push_back(number);
}

void ProcessorSharing::begin(const Entry& entry, Duration now) {
  Processor& one = processor(entry.processor);
  progress(one, now);
  one.running.push_back({.number = entry.number,
                         .demand = entry.demand,
                         .left = static_cast<long double>(entry.work.count())});
  mark(entry.processor);
}

void ProcessorSharing::end(std::int32_t number, std::int32_t on, Duration now) {
  Processor& one = processor(on);
  progress(one, now);
  std::erase_if(one.running, [&](const Running& r) { return r.number == number; });
  mark(on);
}

void ProcessorSharing::clear() {
  for (Processor& one : processors_) one = {};
  changed_.clear();
}

void ProcessorSharing::share(Processor& processor) {
  Resource multiprocessors, bandwidth;
  int communications = 0;
  for (const Running& r : processor.running) {
    const auto want = r.demand.holds ? &Resource::held : &Resource::shared;
    multiprocessors.*want += r.demand.multiprocessors;
    bandwidth.*want += r.demand.bandwidth;
    communications += r.demand.holds ? 1 : 0;
  }
  const bool kernels = static_cast<int>(processor.running.size()) > communications;
  multiprocessors.split(communications, kernels);
  bandwidth.split(communications, kernels);
  const double kernel = std::min(multiprocessors.kernel_rate, bandwidth.kernel_rate);
  const double held = std::min(multiprocessors.held_rate, bandwidth.held_rate);
  for (Running& r : processor.running) {
    r.rate = !r.demand.holds ? kernel : kernels ? std::min(held, 1 / r.demand.slowdown) : held;
  }
}

std::span<const ProcessorSharing::Due> ProcessorSharing::reschedule(Duration now) {
  due_.clear();
  for (const std::int32_t number : changed_) {
    Processor& one = processor(number);
    one.changed = false;
    share(one);
    for (const Running& r : one.running) {
      due_.push_back({r.number, r.rate, now + Duration(std::llrint(r.left / static_cast<long double>(r.rate)))});
    }
  }
  changed_.clear();
  return due_;
}

}  // namespace foreplan
