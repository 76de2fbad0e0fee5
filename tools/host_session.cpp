#include "tools/host_session.hpp"

#include <algorithm>
#include <cstdint>

#include "tools/fill.hpp"

namespace foreplan {

std::size_t HostSession::load(const TaskGraph& graph) {
  loaded_.push_back(std::make_unique<Loaded>(graph));
  fill(loaded_.back()->executor);
  return loaded_.size() - 1;
}

MeasuredStep HostSession::step(std::size_t loaded) {
  Loaded& one = *loaded_.at(loaded);
  return one.executor.step({.step = ++one.steps,
                            .global_batch = std::max<std::int64_t>(one.graph.global_batch, 1),
                            .learning_rate = 0});
}

}  // namespace foreplan
