#include "sim/event_queue.hpp"

#include <algorithm>
#include <bit>

namespace foreplan {

EventQueue::Event EventQueue::top() const {
  const Key key = tree_[1];
  return {.at = Duration(static_cast<std::int64_t>(key >> 64)),
          .task = static_cast<TaskId>(static_cast<std::uint32_t>(key >> 32)),
          .activity = static_cast<std::int32_t>(static_cast<std::uint32_t>(key))};
}

void EventQueue::clear() {
  leaves_ = 2;
  tree_.assign(2 * leaves_, kNever);
}

void EventQueue::grow(std::size_t leaves) {
  const std::size_t before = leaves_;
  leaves_ = std::bit_ceil(leaves);
  std::vector<Key> tree(2 * leaves_, kNever);
  std::copy_n(tree_.begin() + static_cast<std::ptrdiff_t>(before), before,
              tree.begin() + static_cast<std::ptrdiff_t>(leaves_));
  for (std::size_t node = leaves_ - 1; node > 0; --node) {
    tree[node] = std::min(tree[2 * node], tree[2 * node + 1]);
  }
  tree_ = std::move(tree);
}

}  // namespace foreplan
