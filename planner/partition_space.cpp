#include "planner/partition_space.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "planner/partition.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Places where stages may begin, in units: behind each legal cut between layers.
std::vector<std::int32_t> places(const UnitChain& chain) {
  std::vector<std::int32_t> found;
  for (std::int32_t i = 1; i < chain.layers; ++i) {
    const std::int32_t unit = chain.first_layer + i;
    if (chain.cuts[static_cast<std::size_t>(unit) - 1]) found.push_back(unit);
  }
  return found;
}

/// Adds every choice of `left` more places to `prefix`, in order; false once there are too many.
bool extend(const std::vector<std::int32_t>& at, std::size_t next, std::size_t left,
            Borders& prefix, std::int32_t end, std::vector<Borders>& found) {
  if (left == 0) {
    found.push_back(prefix);
    found.back().push_back(end);
    return found.size() <= kMostPartitions;
  }
  for (std::size_t i = next; i + left <= at.size(); ++i) {
    prefix.push_back(at[i]);
    const bool room = extend(at, i + 1, left - 1, prefix, end, found);
    prefix.pop_back();
    if (!room) return false;
  }
  return true;
}

/// As many layers each, the first ones one more, if the first and the last stage counted so many more than
/// they get; at least one.
std::vector<int> lighter_ends(int layers, int stages, int first, int last) {
  const int all = layers + first + last;
  std::vector<int> each(static_cast<std::size_t>(stages), all / stages);
  for (int i = 0; i < all % stages; ++i) ++each[static_cast<std::size_t>(i)];
  if (each.front() <= first || each.back() <= last) return lighter_ends(layers, stages, 0, 0);
  each.front() -= first;
  each.back() -= last;
  return each;
}

/// Fills stages with at most `most` each.
class Filler {
 public:
  Filler(const UnitChain& chain, std::span<const StageWeight> weights)
      : ends_{0}, weights_(weights) {
    const std::vector<std::int32_t> inner = places(chain);
    ends_.insert(ends_.end(), inner.begin(), inner.end());
    ends_.push_back(static_cast<std::int32_t>(chain.units.size()));
    if (ends_.size() <= weights.size()) {
      reject(fmt::format("strategy: the network cannot be cut into {} stages", weights.size()));
    }
  }

  /// Empty where a stage would hold more.
  Borders from_front(std::int64_t most) const {
    Borders borders{0};
    std::size_t at = 0;
    for (std::size_t s = 0; s < weights_.size(); ++s) {
      const std::size_t last = ends_.size() - (weights_.size() - s);
      const std::size_t end = s + 1 == weights_.size() ? last : furthest(s, at, last, most);
      if (weight(s, at, end) > most) return {};
      borders.push_back(ends_[end]);
      at = end;
    }
    return borders;
  }

  Borders from_back(std::int64_t most) const {
    Borders borders(weights_.size() + 1, ends_.back());
    std::size_t end = ends_.size() - 1;
    for (std::size_t s = weights_.size(); s-- > 0;) {
      std::size_t begin = s == 0 ? 0 : end - 1;
      while (begin > s && weight(s, begin - 1, end) <= most) --begin;
      if (weight(s, begin, end) > most) return {};
      borders[s] = ends_[begin];
      end = begin;
    }
    return borders;
  }

 private:
  std::int64_t weight(std::size_t stage, std::size_t begin, std::size_t end) const {
    return weights_[stage].of(static_cast<std::size_t>(ends_[begin]),
                              static_cast<std::size_t>(ends_[end]));
  }

  /// The last place in (begin, last] up to which the stage holds no more, or begin + 1.
  std::size_t furthest(std::size_t stage, std::size_t begin, std::size_t last,
                       std::int64_t most) const {
    std::size_t low = begin + 1, high = last;
    while (low < high) {
      const std::size_t middle = (low + high + 1) / 2;
      if (weight(stage, begin, middle) <= most)
        low = middle;
      else
        high = middle - 1;
    }
    return low;
  }

  std::vector<std::int32_t> ends_;
  std::span<const StageWeight> weights_;
};

}  // namespace

std::vector<int> layers_of(const UnitChain& chain, const Borders& borders) {
  std::vector<int> layers;
  for (std::size_t s = 0; s + 1 < borders.size(); ++s) {
    const bool last = s + 2 == borders.size();
    const std::int32_t begin = s == 0 ? chain.first_layer : borders[s];
    layers.push_back((last ? chain.first_layer + chain.layers : borders[s + 1]) - begin);
  }
  return layers;
}

Borders borders_of(const UnitChain& chain, std::span<const int> layers) {
  Borders borders{0};
  std::int32_t at = chain.first_layer;
  for (const int count : layers) borders.push_back(at += count);
  borders.back() = static_cast<std::int32_t>(chain.units.size());
  return borders;
}

PartitionSpace::PartitionSpace(const UnitChain& chain, int virtual_stages, bool chunks) {
  const std::vector<std::int32_t> at = places(chain);
  Borders prefix{0};
  const auto end = static_cast<std::int32_t>(chain.units.size());
  const bool all =
      extend(at, 0, static_cast<std::size_t>(virtual_stages) - 1, prefix, end, listed_);
  try {
    even_ = borders_of(chain, even_layers(chain, virtual_stages));
  } catch (const Error&) {
    even_.clear();
  }
  if (all) return;
  listed_.clear();
  family_ = even_.empty() ? 3 : 4;
  const bool anywhere = std::ssize(at) + 1 == chain.layers;
  if (!chunks || !anywhere) return;
  for (const auto& [first, last] : {std::pair{0, 0}, {1, 1}, {0, 1}, {0, 2}}) {
    listed_.push_back(borders_of(chain, lighter_ends(chain.layers, virtual_stages, first, last)));
  }
}

int most_stages(const UnitChain& chain) { return static_cast<int>(places(chain).size()) + 1; }

BalancedPartition balance(const UnitChain& chain, std::span<const StageWeight> weights,
                          std::int64_t resolution) {
  const Filler filler(chain, weights);
  std::int64_t low = 0, high = 0;
  for (const StageWeight& weight : weights) {
    high = std::max(high, weight.of(0, chain.units.size()));
  }
  while (low + resolution <= high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (filler.from_front(middle).empty())
      low = middle + 1;
    else
      high = middle;
  }
  BalancedPartition found{.front = filler.from_front(high), .back = filler.from_back(high)};
  if (found.back.empty()) found.back = found.front;
  return found;
}

}  // namespace foreplan
