#include "planner/frontier.hpp"

namespace foreplan {

Strategy strategy_of(const UnitChain& chain, const SearchNode& leaf) {
  if (leaf.level == SearchNode::Level::apart) return *leaf.apart;
  Strategy strategy = leaf.sizes.strategy();
  strategy.micro_batch = leaf.share.micro_batch;
  strategy.sp = leaf.share.sp;
  strategy.vpp = leaf.course.vpp;
  strategy.schedule = leaf.course.schedule;
  strategy.recompute = recompute_of(leaf.course.again);
  if (leaf.course.again == Again::some) strategy.recompute_layers = leaf.recomputed;
  strategy.zero = leaf.keeping.zero;
  strategy.offload = leaf.keeping.offload;
  strategy.layers = layers_of(chain, *leaf.borders);
  return strategy;
}

void Frontier::push(const Rank& rank, SearchNode node) {
  std::size_t place = nodes_.size();
  const int depth = static_cast<int>(node.level);
  if (free_.empty()) {
    nodes_.push_back(std::move(node));
  } else {
    place = free_.back();
    free_.pop_back();
    nodes_[place] = std::move(node);
  }
  heap_.push_back({rank, depth, made_++, place});
  std::push_heap(heap_.begin(), heap_.end());
}

SearchNode Frontier::pop() {
  std::pop_heap(heap_.begin(), heap_.end());
  const std::size_t place = heap_.back().node;
  heap_.pop_back();
  free_.push_back(place);
  return std::move(nodes_[place]);
}

std::int64_t Frontier::strategies() const {
  std::int64_t all = 0;
  for (const Entry& entry : heap_) all += nodes_[entry.node].count;
  return all;
}

}  // namespace foreplan
