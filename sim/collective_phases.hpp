#pragma once

#include <vector>

#include "sim/collective_expansion.hpp"

namespace foreplan {

/// Some ranks of a collective that run a phase of it among themselves. Positions count from 0;
/// position p owns the pieces [first[p], first[p] + count).
struct Team {
  std::vector<int> members;  ///< ranks, by position
  std::vector<int> first;    ///< by position; runs of several chunks need them one behind the other
  int count = 1;
  int lane = 0;

  int size() const { return static_cast<int>(members.size()); }
};

/// The greatest power of two that is at most `n` >= 1.
int power_of_two_below(int n);
/// Rounds of a binomial tree among `n` >= 1: the least r with 2^r >= n.
int tree_rounds(int n);

// Each adds one phase; sim/collective.hpp tells the rounds. Those that fold take any size, other
// halvings and doublings a power of two.

void ring_reduce_scatter(CollectiveExpansion& expansion, const Team& team);
void ring_all_gather(CollectiveExpansion& expansion, const Team& team);
void direct_reduce_scatter(CollectiveExpansion& expansion, const Team& team, int per_node);
void direct_all_gather(CollectiveExpansion& expansion, const Team& team, int per_node);
void direct_all_to_all(CollectiveExpansion& expansion, const Team& team, int per_node);
void halving_reduce_scatter(CollectiveExpansion& expansion, const Team& team);
void doubling_all_gather(CollectiveExpansion& expansion, const Team& team);

/// A whole message, as all phases below move it: `count` pieces from `first` on.
struct Message {
  int first = 0;
  int count = 1;
};

void doubling_all_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                         const Message& message);
/// Surplus members give what they have to a neighbour.
/// @return the others: a power of two
std::vector<int> fold(CollectiveExpansion& expansion, const std::vector<int>& members,
                      const Message& message);
/// The surplus members of `fold` get the result.
void unfold(CollectiveExpansion& expansion, const std::vector<int>& members,
            const Message& message);

/// Piece by piece along the members, away from the first or towards it.
void chain_broadcast(CollectiveExpansion& expansion, const std::vector<int>& members,
                     const Message& message);
void chain_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                  const Message& message);
void tree_broadcast(CollectiveExpansion& expansion, const std::vector<int>& members,
                    const Message& message);
void tree_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                 const Message& message);
/// Runs of chunks, those of `team`.
void tree_gather(CollectiveExpansion& expansion, const Team& team);
void tree_scatter(CollectiveExpansion& expansion, const Team& team);

/// Two lanes; the first half of the message's pieces goes by one tree, the rest by the other.
void double_tree_all_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                            const Message& message);

}  // namespace foreplan
