#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "planner/layout_facts.hpp"
#include "planner/space.hpp"

namespace foreplan {

/// A set of strategies of a StrategySpace: all that share what is told so far.
struct SearchNode {
  enum class Level : std::uint8_t { share, stages, order, course, fitting, partition, leaf, apart };
  Level level = Level::share;
  /// At Level::share with the most stages; where order matters, told from Level::order on.
  Sizes sizes{};
  Share share{};
  Course course{};
  /// From Level::order on: of StrategySpace::keepings(), a bit each; from Level::fitting on, those that some
  /// partition might fit under.
  std::uint32_t keepings = 0;
  /// From Level::order on: of ranks; null: the one that `sizes` tell.
  const OrderSet* orders = nullptr;
  Keeping keeping{};
  int recomputed = 0;  ///< layers of each virtual stage; at Level::partition: or more
  std::shared_ptr<const Borders> borders{};
  const UnitSums* units = nullptr;  ///< from Level::stages on
  LayoutFacts* facts = nullptr;
  std::int64_t count = 1;           ///< strategies
  const Strategy* apart = nullptr;  ///< at Level::apart: of StrategySpace::apart()

  std::int64_t ways() const { return orders == nullptr ? 1 : std::ssize(*orders); }
};

/// What a leaf says.
Strategy strategy_of(const UnitChain& chain, const SearchNode& leaf);

/// What a node is worth: its bound, then its devices.
struct Rank {
  Duration bound{};
  int devices = 0;
  friend auto operator<=>(const Rank&, const Rank&) = default;
};

/// Nodes that wait, the best first: the least rank; of equals the deepest, then the oldest.
class Frontier {
 public:
  bool empty() const { return heap_.empty(); }
  const Rank& least() const { return heap_.front().rank; }

  void push(const Rank& rank, SearchNode node);
  SearchNode pop();
  /// In all nodes.
  std::int64_t strategies() const;

 private:
  struct Entry {
    Rank rank{};
    int depth = 0;
    std::int64_t sequence = 0;
    std::size_t node = 0;
    bool operator<(const Entry& other) const {
      if (rank != other.rank) return rank > other.rank;
      return depth != other.depth ? depth < other.depth : sequence > other.sequence;
    }
  };

  std::vector<Entry> heap_;
  std::vector<SearchNode> nodes_;  ///< places are used again
  std::vector<std::size_t> free_;
  std::int64_t made_ = 0;
};

}  // namespace foreplan
