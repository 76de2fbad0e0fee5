// The phases of sim/collective_phases.hpp that have a root.
#include <algorithm>
#include <cstddef>

#include "sim/collective_phases.hpp"

namespace foreplan {
namespace {

constexpr TaskId kNone{-1};

std::size_t at(int number) { return static_cast<std::size_t>(number); }

int greatest_distance(int n) { return n > 1 ? 1 << (tree_rounds(n) - 1) : 0; }

/// A binary tree over positions 0 to n - 1: every inner position has two children, or the root, where
/// n is even, one.
struct BinaryTree {
  int root = 0;
  std::vector<int> order;                  ///< children before parents
  std::vector<std::vector<int>> children;  ///< by position
};

/// Adds a balanced tree in which every inner position has two children, in order over the odd number
/// of positions [begin, end): leaves are at even places, inner ones at odd.
int add_full_tree(BinaryTree& tree, int begin, int end) {
  if (end - begin == 1) {
    tree.order.push_back(begin);
    return begin;
  }
  // Both sides are odd; of k leaves half go left.
  const int leaves = (end - begin + 1) / 2;
  const int middle = begin + 2 * ((leaves + 1) / 2) - 1;
  const int left = add_full_tree(tree, begin, middle);
  const int right = add_full_tree(tree, middle + 1, end);
  tree.children[at(middle)] = {left, right};
  tree.order.push_back(middle);
  return middle;
}

BinaryTree binary_tree(int n) {
  BinaryTree tree{.root = 0, .order = {}, .children = std::vector<std::vector<int>>(at(n))};
  if (n % 2 == 1) {
    tree.root = add_full_tree(tree, 0, n);
    return tree;
  }
  tree.children[0] = {add_full_tree(tree, 1, n)};
  tree.order.push_back(0);
  return tree;
}

/// One of the two trees, with the ranks at its positions.
struct RankedTree {
  BinaryTree tree;
  std::vector<int> rank;  ///< by position
  Message message;
};

/// Inner ranks of the first tree are leaves of the second: mirrored for even n, shifted by one for odd.
RankedTree ranked_tree(const std::vector<int>& members, bool second, const Message& message) {
  const int n = static_cast<int>(members.size());
  RankedTree ranked{.tree = binary_tree(n), .rank = {}, .message = message};
  for (int p = 0; p < n; ++p) {
    const int place = !second ? p : n % 2 == 0 ? n - 1 - p : (p + 1) % n;
    ranked.rank.push_back(members[at(place)]);
  }
  return ranked;
}

/// A parent pulls `piece` from all children when all have it, each in a lane of its own.
void gather_children(CollectiveExpansion& expansion, const RankedTree& tree, int parent,
                     int piece) {
  const std::vector<int>& children = tree.tree.children[at(parent)];
  std::vector<CollectiveExpansion::Pulled> pulled;
  for (std::size_t c = 0; c < children.size(); ++c) {
    const int sibling = children[children.size() - 1 - c];
    pulled.push_back(expansion.fetch({.rank = tree.rank[at(parent)],
                                      .from = tree.rank[at(children[c])],
                                      .first = piece,
                                      .lane = static_cast<int>(c),
                                      .adds = true,
                                      .wait = expansion.writer(tree.rank[at(sibling)], piece)}));
  }
  for (const auto& pull : pulled) expansion.land(pull);
}

void reduce_tree(CollectiveExpansion& expansion, const RankedTree& tree) {
  for (int piece = tree.message.first; piece < tree.message.first + tree.message.count; ++piece) {
    for (const int parent : tree.tree.order) gather_children(expansion, tree, parent, piece);
  }
}

void broadcast_tree(CollectiveExpansion& expansion, const RankedTree& tree, int lane) {
  const int last = tree.message.first + tree.message.count - 1;
  const TaskId reduced = expansion.writer(tree.rank[at(tree.tree.root)], last);
  for (int piece = tree.message.first; piece <= last; ++piece) {
    for (auto parent = tree.tree.order.rbegin(); parent != tree.tree.order.rend(); ++parent) {
      for (const int child : tree.tree.children[at(*parent)]) {
        expansion.move({.rank = tree.rank[at(child)],
                        .from = tree.rank[at(*parent)],
                        .first = piece,
                        .lane = lane,
                        .wait = *parent == tree.tree.root ? reduced : kNone});
      }
    }
  }
}

}  // namespace

void chain_broadcast(CollectiveExpansion& expansion, const std::vector<int>& members,
                     const Message& message) {
  for (int piece = message.first; piece < message.first + message.count; ++piece) {
    for (std::size_t p = 1; p < members.size(); ++p) {
      expansion.move({.rank = members[p], .from = members[p - 1], .first = piece});
    }
  }
}

void chain_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                  const Message& message) {
  for (int piece = message.first; piece < message.first + message.count; ++piece) {
    for (std::size_t p = members.size() - 1; p > 0; --p) {
      expansion.move({.rank = members[p - 1], .from = members[p], .first = piece, .adds = true});
    }
  }
}

void tree_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                 const Message& message) {
  const int n = static_cast<int>(members.size());
  for (int distance = 1; distance < n; distance *= 2) {
    for (int p = 0; p + distance < n; p += 2 * distance) {
      expansion.move({.rank = members[at(p)],
                      .from = members[at(p + distance)],
                      .first = message.first,
                      .count = message.count,
                      .adds = true});
    }
  }
}

void tree_broadcast(CollectiveExpansion& expansion, const std::vector<int>& members,
                    const Message& message) {
  const int n = static_cast<int>(members.size());
  for (int distance = greatest_distance(n); distance > 0; distance /= 2) {
    for (int p = 0; p + distance < n; p += 2 * distance) {
      expansion.move({.rank = members[at(p + distance)],
                      .from = members[at(p)],
                      .first = message.first,
                      .count = message.count,
                      .wait = expansion.last_read(members[at(p)])});
    }
  }
}

void tree_gather(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int distance = 1; distance < n; distance *= 2) {
    for (int p = 0; p + distance < n; p += 2 * distance) {
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(p + distance)],
                      .first = team.first[at(p + distance)],
                      .count = std::min(distance, n - p - distance) * team.count});
    }
  }
}

void tree_scatter(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int distance = greatest_distance(n); distance > 0; distance /= 2) {
    for (int p = 0; p + distance < n; p += 2 * distance) {
      expansion.move({.rank = team.members[at(p + distance)],
                      .from = team.members[at(p)],
                      .first = team.first[at(p + distance)],
                      .count = std::min(distance, n - p - distance) * team.count,
                      .wait = expansion.last_read(team.members[at(p)])});
    }
  }
}

void double_tree_all_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                            const Message& message) {
  const int half = message.count / 2;
  const RankedTree first = ranked_tree(members, false, {message.first, half});
  const RankedTree second =
      ranked_tree(members, true, {message.first + half, message.count - half});
  reduce_tree(expansion, first);
  reduce_tree(expansion, second);
  broadcast_tree(expansion, first, 0);
  broadcast_tree(expansion, second, 1);
}

}  // namespace foreplan
