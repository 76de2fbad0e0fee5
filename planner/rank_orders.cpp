#include "planner/rank_orders.hpp"

#include <algorithm>
#include <tuple>

namespace foreplan {
namespace {

int size_of(const Strategy& strategy, Dimension dimension) {
  return RankLayout(strategy).size(dimension);
}

/// All orders of the dimensions of more than one rank, the others behind them; first the usual one.
std::vector<RankOrder> candidates(const Strategy& sizes) {
  std::vector<Dimension> several, single;
  for (const Dimension dimension : kDimensions) {
    (size_of(sizes, dimension) > 1 ? several : single).push_back(dimension);
  }
  std::vector<RankOrder> found;
  do {
    RankOrder order;
    std::copy(single.begin(), single.end(),
              std::copy(several.begin(), several.end(), order.dimensions.begin()));
    found.push_back(order);
  } while (std::next_permutation(several.begin(), several.end()));
  found.front() = RankOrder{};
  return found;
}

}  // namespace

RankOrders::RankOrders(const Task& task) : task_(task), alike_(device_kinds(task).size() == 1) {}

OrderSets RankOrders::of(const Strategy& sizes) const {
  // All in one node, or each device a node of its own.
  const int node = node_devices(task_.cluster, sizes.devices());
  const bool flat = node == 1 || sizes.devices() <= node;
  if (sizes.devices() == 1 || (alike_ && flat)) return {{{RankOrder{}}}, 1};
  OrderSets found;
  std::vector<std::vector<Seen>> known;  // by set
  for (const RankOrder& order : candidates(sizes)) {
    Seen now = seen(sizes, order);
    std::size_t at = 0;
    while (at < known.size() && !known[at].front().same_units(now)) ++at;
    if (at == known.size()) {
      known.emplace_back();
      found.sets.emplace_back();
    }
    if (std::find(known[at].begin(), known[at].end(), now) != known[at].end()) continue;
    known[at].push_back(std::move(now));
    found.sets[at].push_back(order);
    ++found.orders;
  }
  return found;
}

bool RankOrders::Seen::same_units(const Seen& other) const {
  const auto exchanges = [](const RankPlaces& p) {
    return std::tuple(p.tensor, p.context, p.expert);
  };
  // The first three are those of the units' groups.
  const bool meet = met.empty() || std::equal(met.begin(), met.begin() + 3, other.met.begin());
  return meet && exchanges(places) == exchanges(other.places) && replicas == other.replicas;
}

bool RankOrders::Seen::same_beside_units(const Seen& other) const {
  const auto rest = [](RankPlaces p) {
    p.tensor = p.context = p.expert = 0;
    return p;
  };
  const bool meet = met.empty() || std::equal(met.begin() + 3, met.end(), other.met.begin() + 3);
  return meet && rest(places) == rest(other.places) && replicas == other.replicas;
}

bool RankOrders::stand_for(const Strategy& sizes, const OrderSet& orders,
                           const RankOrder& other) const {
  const Seen there = seen(sizes, other);
  return std::any_of(orders.begin(), orders.end(), [&](const RankOrder& order) {
    return order < other && seen(sizes, order).same_beside_units(there);
  });
}

RankOrders::Seen RankOrders::seen(Strategy strategy, const RankOrder& order) const {
  strategy.order = order;
  Seen seen;
  const int node = node_devices(task_.cluster, strategy.devices());
  if (node > 0) {
    seen.places = places_of(RankLayout(strategy), node);
  } else {
    seen.met = met(strategy);
  }
  if (!alike_) seen.replicas = distinct_replicas(task_, strategy);
  return seen;
}

std::vector<const GroupPlacement*> RankOrders::met(const Strategy& strategy) const {
  const RankLayout layout(strategy);
  std::vector<const GroupPlacement*> met{placed(layout.tensor()), placed(layout.context()),
                                         placed(layout.expert()), placed(layout.data()),
                                         placed(layout.expert_data())};
  const auto device = [&](int stage) { return static_cast<int>(layout.device({.pp = stage})); };
  for (int s = 0; s < strategy.pp; ++s) {
    const int next = (s + 1) % strategy.pp;
    if (next != s) met.push_back(joined(device(s), device(next)));
    // Gradients that two stages add up: the first and the last, or those of two pipelines there and back.
    const int partner = strategy.pp - 1 - s;
    if (partner != s) met.push_back(joined(device(s), device(partner)));
  }
  return met;
}

const GroupPlacement* RankOrders::placed(const RankGroup& group) const {
  if (group.size == 1) return nullptr;
  std::vector<int> key{group.size, group.step};
  for (int d = 0; d < group.count; ++d) {
    const GroupShape& shape = group.dimensions[static_cast<std::size_t>(d)];
    key.insert(key.end(), {shape.size, shape.stride});
  }
  const auto [place, fresh] = groups_.try_emplace(std::move(key), nullptr);
  if (fresh) {
    std::vector<DeviceId> devices;
    for (int i = 0; i < group.size; ++i) devices.push_back(DeviceId{group.device(i)});
    place->second = one_of(placement_of(task_.cluster, devices));
  }
  return place->second;
}

const GroupPlacement* RankOrders::joined(int a, int b) const {
  const auto [place, fresh] = pairs_.try_emplace({a, b}, nullptr);
  if (fresh) {
    place->second = one_of(placement_of(task_.cluster, std::vector{DeviceId{a}, DeviceId{b}}));
  }
  return place->second;
}

const GroupPlacement* RankOrders::one_of(GroupPlacement placement) const {
  for (const auto& known : distinct_) {
    if (*known == placement) return known.get();
  }
  distinct_.push_back(std::make_unique<const GroupPlacement>(placement));
  return distinct_.back().get();
}

}  // namespace foreplan
