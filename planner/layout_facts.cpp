#include "planner/layout_facts.hpp"

#include <algorithm>

namespace foreplan {
namespace {

template <typename Value>
WeightSums sums_of(const UnitChain& chain, const Value& value) {
  std::vector<std::int64_t> each;
  for (std::size_t c = 0; c < chain.classes.size(); ++c) each.push_back(value(c).count());
  WeightSums sums{0};
  for (const std::int32_t unit : chain.units) {
    sums.push_back(sums.back() + each[static_cast<std::size_t>(unit)]);
  }
  return sums;
}

}  // namespace

LayoutFacts::LayoutFacts(const Task& task, const UnitChain& chain, const Sizes& sizes,
                         const OrderSet& orders)
    : task_(task), chain_(chain), shorthand_(!task.cluster.node_groups().empty()) {
  groups_.reserve(orders.size());
  Strategy strategy = sizes.strategy();
  for (const RankOrder& order : orders) {
    strategy.order = order;
    groups_.emplace_back(task.cluster, strategy, task.collectives, &task.costs);
  }
}

template <typename Time>
Duration LayoutFacts::least(const Time& time) const {
  Duration least = time(groups_.front());
  for (std::size_t i = 1; i < groups_.size(); ++i) least = std::min(least, time(groups_[i]));
  return least;
}

Duration LayoutFacts::hop(int from, int to, Bytes bytes, bool sp) {
  if (from == to) return {};
  // In a cluster told in short all hops inside a node are alike, and all others.
  Hop asked{bytes.count, sp, from, to, {}};
  if (shorthand_) {
    asked.from = -1;
    asked.to = 0;
    for (const RankGroups& groups : groups_) asked.to = 2 * asked.to + groups.together(from, to);
  }
  for (const Hop& known : hops_) {
    if (known.to == asked.to && known.bytes == asked.bytes && known.from == asked.from &&
        known.sp == asked.sp) {
      return known.time;
    }
  }
  hops_.push_back(asked);
  return hops_.back().time = least([&](const RankGroups& groups) {
           return groups.activations_hop(from, to, bytes,
                                         {.sp = sp, .scatter = task_.stack.scatter_activations});
         });
}

Duration LayoutFacts::way(int stages, Bytes bytes, bool sp) {
  for (const Way& known : ways_) {
    if (known.stages == stages && known.bytes == bytes.count && known.sp == sp) return known.time;
  }
  Duration time{};
  for (int s = 0; s + 1 < stages; ++s) time += hop(s, s + 1, bytes, sp);
  ways_.push_back({stages, bytes.count, sp, time});
  return time;
}

Duration LayoutFacts::norm(int stages) {
  if (!task_.stack.clip_gradients || stages == 1) return {};
  const auto [place, fresh] = norms_.try_emplace(stages);
  if (fresh) {
    place->second = least(
        [&](const RankGroups& groups) { return 2 * groups.stage_hop(0, stages - 1, Bytes{4}); });
  }
  return place->second;
}

Duration LayoutFacts::tied(int stages, std::int64_t parameters) {
  if (stages == 1 || parameters == 0) return {};
  const auto [place, fresh] = tied_.try_emplace({stages, parameters});
  if (fresh) {
    const Bytes bytes{parameters * task_.stack.gradient_bytes};
    place->second = least([&](const RankGroups& groups) {
      return groups.time(CollectiveKind::all_reduce, bytes, groups.stages(0, stages - 1));
    });
  }
  return place->second;
}

Duration LayoutFacts::over_data(CollectiveKind kind, Bytes bytes) {
  if (bytes.count == 0) return {};
  const auto [place, fresh] = data_.try_emplace({kind, bytes.count});
  if (fresh) {
    place->second =
        least([&](const RankGroups& groups) { return groups.time(kind, bytes, groups.data()); });
  }
  return place->second;
}

LayoutFacts::Buckets LayoutFacts::buckets(std::int64_t dense, CollectiveKind kind) {
  const std::int64_t bytes = dense * task_.stack.gradient_bytes;
  const auto [first, others] = gradient_buckets(groups(), task_.stack);
  if (bytes < first.count) {
    const Duration only = over_data(kind, Bytes{bytes});
    return {only, only};
  }
  const std::int64_t full = (bytes - first.count) / others.count;
  const Duration rest = over_data(kind, Bytes{(bytes - first.count) % others.count});
  const Duration each = full > 0 ? over_data(kind, others) : Duration{};
  return {.all = over_data(kind, first) + full * each + rest, .last = rest};
}

const WeightSums& LayoutFacts::experts(const UnitSums& units, CollectiveKind kind) {
  const auto [place, fresh] = experts_.try_emplace(kind);
  if (fresh) {
    place->second = sums_of(chain_, [&](std::size_t c) {
      const std::int64_t parameters = units.table->works()[c].expert_parameters;
      if (parameters == 0) return Duration{};
      const Bytes bytes{parameters * task_.stack.gradient_bytes};
      return least(
          [&](const RankGroups& groups) { return groups.time(kind, bytes, groups.expert_data()); });
    });
  }
  return place->second;
}

Duration LayoutFacts::gather(const StageState& state, int zero) {
  if (zero != 1 && zero != 2) return {};
  const auto [place, fresh] = gathers_.try_emplace({state.dense, state.expert});
  if (fresh) {
    place->second = least([&](const RankGroups& groups) {
      return gather_updated(state, {.zero = zero}, groups, task_.stack,
                            task_.stack.stored(task_.precision));
    });
  }
  return place->second;
}

const LayoutFacts::Sharded& LayoutFacts::sharded(const UnitSums& units, int zero) {
  const auto [place, fresh] = sharded_.try_emplace(zero);
  if (!fresh) return place->second;
  Sharded& sums = place->second;
  const auto over = [&](CollectiveKind kind, std::int64_t size) {
    return sums_of(chain_, [&](std::size_t c) {
      return least([&](const RankGroups& groups) {
        return over_replicas(units.table->works()[c], kind, size, groups);
      });
    });
  };
  sums.reduce = over(CollectiveKind::reduce_scatter, task_.stack.gradient_bytes);
  sums.gather = zero == 3 ? over(CollectiveKind::all_gather, element_size(task_.precision).count)
                          : WeightSums(chain_.units.size() + 1, 0);
  return sums;
}

}  // namespace foreplan
