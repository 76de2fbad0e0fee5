#include "sim/collective_phases.hpp"

#include <bit>
#include <cstddef>

namespace foreplan {
namespace {

std::size_t at(int number) { return static_cast<std::size_t>(number); }

int wrapped(int position, int size) { return (position + 2 * size) % size; }

/// Positions in the order in which `position` turns to them: its own node's behind it, then those of
/// the nodes behind, each time from its own place in the node on.
int partner(int position, int round, int per_node, int size) {
  const int nodes = size / per_node;
  const int step = round + 1;
  const int node = wrapped(position / per_node - step / per_node, nodes);
  const int local = wrapped(position % per_node - step % per_node, per_node);
  return node * per_node + local;
}

}  // namespace

int power_of_two_below(int n) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(n))); }

int tree_rounds(int n) { return std::bit_width(static_cast<unsigned>(n - 1)); }

void ring_reduce_scatter(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int round = 0; round < n - 1; ++round) {
    for (int p = 0; p < n; ++p) {
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(wrapped(p - 1, n))],
                      .first = team.first[at(wrapped(p - 2 - round, n))],
                      .count = team.count,
                      .lane = team.lane,
                      .adds = true});
    }
  }
}

void ring_all_gather(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int round = 0; round < n - 1; ++round) {
    for (int p = 0; p < n; ++p) {
      // What was here before has been read, or this chunk would not be complete.
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(wrapped(p - 1, n))],
                      .first = team.first[at(wrapped(p - 1 - round, n))],
                      .count = team.count,
                      .lane = team.lane});
    }
  }
}

void direct_reduce_scatter(CollectiveExpansion& expansion, const Team& team, int per_node) {
  const int n = team.size();
  for (int round = 0; round < n - 1; ++round) {
    for (int p = 0; p < n; ++p) {
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(partner(p, round, per_node, n))],
                      .first = team.first[at(p)],
                      .count = team.count,
                      .adds = true});
    }
  }
}

void direct_all_gather(CollectiveExpansion& expansion, const Team& team, int per_node) {
  const int n = team.size();
  for (int round = 0; round < n - 1; ++round) {
    for (int p = 0; p < n; ++p) {
      const int owner = partner(p, round, per_node, n);
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(owner)],
                      .first = team.first[at(owner)],
                      .count = team.count});
    }
  }
}

void direct_all_to_all(CollectiveExpansion& expansion, const Team& team, int per_node) {
  const int n = team.size();
  for (int round = 0; round < n - 1; ++round) {
    for (int p = 0; p < n; ++p) {
      // Not landed: the part that `p` gives away is another one than that which it receives.
      expansion.fetch({.rank = team.members[at(p)],
                       .from = team.members[at(partner(p, round, per_node, n))],
                       .first = team.first[at(p)],
                       .count = team.count});
    }
  }
}

void halving_reduce_scatter(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int distance = n / 2; distance > 0; distance /= 2) {
    for (int p = 0; p < n; ++p) {
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(p ^ distance)],
                      .first = team.first[at(p & ~(distance - 1))],
                      .count = distance * team.count,
                      .lane = team.lane,
                      .adds = true});
    }
  }
}

void doubling_all_gather(CollectiveExpansion& expansion, const Team& team) {
  const int n = team.size();
  for (int distance = 1; distance < n; distance *= 2) {
    for (int p = 0; p < n; ++p) {
      expansion.move({.rank = team.members[at(p)],
                      .from = team.members[at(p ^ distance)],
                      .first = team.first[at((p ^ distance) & ~(distance - 1))],
                      .count = distance * team.count,
                      .lane = team.lane});
    }
  }
}

void doubling_all_reduce(CollectiveExpansion& expansion, const std::vector<int>& members,
                         const Message& message) {
  const int n = static_cast<int>(members.size());
  for (int distance = 1; distance < n; distance *= 2) {
    std::vector<CollectiveExpansion::Pulled> pulled;
    for (int p = 0; p < n; ++p) {
      pulled.push_back(expansion.fetch({.rank = members[at(p)],
                                        .from = members[at(p ^ distance)],
                                        .first = message.first,
                                        .count = message.count,
                                        .adds = true}));
    }
    // The partner reads what the add changes.
    for (int p = 0; p < n; ++p) expansion.land(pulled[at(p)], pulled[at(p ^ distance)].task);
  }
}

std::vector<int> fold(CollectiveExpansion& expansion, const std::vector<int>& members,
                      const Message& message) {
  const int n = static_cast<int>(members.size());
  const int surplus = n - power_of_two_below(n);
  std::vector<int> kept;
  for (int p = 0; p < n; ++p) {
    if (p < 2 * surplus && p % 2 == 0) continue;
    kept.push_back(members[at(p)]);
    if (p >= 2 * surplus) continue;
    expansion.move({.rank = members[at(p)],
                    .from = members[at(p - 1)],
                    .first = message.first,
                    .count = message.count,
                    .adds = true});
  }
  return kept;
}

void unfold(CollectiveExpansion& expansion, const std::vector<int>& members,
            const Message& message) {
  const int n = static_cast<int>(members.size());
  const int surplus = n - power_of_two_below(n);
  for (int p = 0; p < 2 * surplus; p += 2) {
    expansion.move({.rank = members[at(p)],
                    .from = members[at(p + 1)],
                    .first = message.first,
                    .count = message.count});
  }
}

}  // namespace foreplan
