#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// The instants at which activities are due: at most one each, which may be moved.
///
/// The earliest comes first; of events at one instant, that of the smallest task id.
///
/// A tournament: activities are the leaves of a binary tree, and each node holds the earlier of its
/// two children. Whatever changes at a leaf is carried to the root in log2(activities) steps that
/// have no branch to mispredict, which on the few hundred activities of a simulation is faster than a
/// heap. It is as large as what is under way at one time, not as the graph.
class EventQueue {
 public:
  struct Event {
    Duration at{};            ///< >= 0
    TaskId task{};            ///< decides among events of one instant
    std::int32_t activity{};  ///< small numbers, used again
    friend bool operator==(const Event&, const Event&) = default;
  };

  EventQueue() { clear(); }

  bool empty() const { return tree_[1] == kNever; }
  /// The earliest event, of which there must be one.
  Event top() const;

  /// Adds the event of `event.activity`, or moves the one that it has.
  void set(const Event& event) {
    const auto leaf = static_cast<std::size_t>(event.activity);
    if (leaf >= leaves_) grow(leaf + 1);
    carry(leaf, key(event));
  }
  /// Takes `event` away, unless its activity has got another meanwhile.
  void remove(const Event& event) {
    const auto leaf = static_cast<std::size_t>(event.activity);
    if (tree_[leaves_ + leaf] == key(event)) carry(leaf, kNever);
  }
  void clear();

 private:
  /// Instant, task and activity in one number, in this order.
  __extension__ typedef unsigned __int128 Key;
  static constexpr Key kNever = ~Key{0};

  static Key key(const Event& event) {
    return static_cast<Key>(event.at.count()) << 64 |
           static_cast<Key>(static_cast<std::uint32_t>(event.task)) << 32 |
           static_cast<std::uint32_t>(event.activity);
  }
  void carry(std::size_t leaf, Key key) {
    std::size_t node = leaves_ + leaf;
    tree_[node] = key;
    for (; node > 1; node /= 2) {
      const Key sibling = tree_[node ^ 1];
      key = sibling < key ? sibling : key;
      tree_[node / 2] = key;
    }
  }
  void grow(std::size_t leaves);

  std::size_t leaves_ = 0;  ///< a power of two
  std::vector<Key> tree_;   ///< the root at 1, children of n at 2n and 2n + 1
};

}  // namespace foreplan
