#include "planner/space.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "planner/branches.hpp"
#include "planner/divisors.hpp"
#include "planner/folded_step.hpp"
#include "planner/layer_split.hpp"
#include "planner/rank_groups.hpp"
#include "planner/replicas.hpp"
#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

void add_divisors(std::set<int>& found, std::int64_t number, int most) {
  for (const std::int64_t d : divisors(number, most)) found.insert(static_cast<int>(d));
}

/// A tp that divides no width of the network has nothing to cut.
std::set<int> tensor_sizes(const OpGraph& model, int most) {
  std::set<int> found{1};
  for (const Layer& layer : model.layers()) {
    const bool product = layer.kind == LayerKind::linear || layer.kind == LayerKind::conv2d ||
                         layer.kind == LayerKind::expert_linear;
    if (!product) continue;
    add_divisors(found, layer.in_features, most);
    add_divisors(found, layer.out_features, most);
  }
  return found;
}

std::set<int> context_sizes(const Task& task, int most) {
  std::set<int> found{1};
  const Positions& rows = task.model.input_positions();
  const auto& kinds = task.model.layers();
  const bool attention = std::any_of(kinds.begin(), kinds.end(), [](const Layer& layer) {
    return layer.kind == LayerKind::attention;
  });
  if (!attention) return found;
  if (rows.source > 0) add_divisors(found, task.lengths.source, most);
  if (rows.source == 0 && rows.target > 0) add_divisors(found, task.lengths.target, most);
  return found;
}

std::set<int> expert_sizes(const OpGraph& model, int most) {
  std::set<int> found{1};
  for (const Layer& layer : model.layers()) {
    const auto* experts = std::get_if<ExpertShape>(&layer.shape);
    if (experts != nullptr && layer.kind == LayerKind::expert_linear) {
      add_divisors(found, experts->experts, most);
    }
  }
  return found;
}

}  // namespace

Recompute recompute_of(Again again) {
  if (again == Again::none) return Recompute::none;
  return again == Again::attention ? Recompute::selective : Recompute::full;
}

StrategySpace::StrategySpace(const Task& task, std::shared_ptr<const UnitChain> chain, int devices)
    : task_(task),
      chain_(std::move(chain)),
      devices_(std::min(devices, task.cluster.devices())),
      distinct_orders_(task) {
  check_step(task, {});
  split_batch({.micro_batch = 1, .layers = {}}, 1);
  const auto& layers = task.model.layers();
  attention_ = std::any_of(layers.begin(), layers.end(),
                           [](const Layer& layer) { return layer.kind == LayerKind::attention; });
  most_stages_ = most_stages(*chain_);
  find_splits();
  find_keepings();
  find_layouts();
}

/// Whether ranks can share every unit so.
bool StrategySpace::lowers(const Split& split) {
  const UnitSetting setting{.samples = 1,
                            .lengths = task_.lengths,
                            .dtype = task_.precision,
                            .products = task_.products,
                            .tp = split.tp,
                            .cp = split.cp,
                            .ep = split.ep,
                            .sp = split.sp,
                            .whole_experts = split.whole_experts,
                            .stack = task_.stack};
  try {
    for (const UnitClass& unit : chain_->classes) lower_unit(task_.model, unit.range, setting);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void StrategySpace::find_splits() {
  for (const int tp : tensor_sizes(task_.model, devices_)) {
    if (tp > 1 && !lowers({.tp = tp})) continue;
    for (const int cp : context_sizes(task_, devices_ / tp)) {
      if (cp > 1 && !lowers({.tp = tp, .cp = cp})) continue;
      for (const int ep : expert_sizes(task_.model, devices_)) {
        for (const bool whole : {false, true}) {
          if (whole && ep == 1) continue;
          for (const bool sp : {false, true}) {
            const Split split{tp, cp, ep, sp, whole};
            // Where experts are not cut by tp, its ranks would repeat each other's rows without sp.
            const bool useful = sp ? tp > 1 : tp == 1 || !whole;
            if (useful && lowers(split)) splits_.push_back(split);
          }
        }
      }
    }
  }
}

void StrategySpace::find_keepings() {
  const auto offloads = [&](int device) {
    return task_.cluster.device(DeviceId{device}).host_bandwidth.bytes_per_s > 0;
  };
  while (host_devices_ < task_.cluster.devices() && offloads(host_devices_)) ++host_devices_;
  for (int zero = 0; zero <= 3; ++zero) {
    for (const Offload offload : kOffloads) {
      for (const bool host : {false, true}) {
        if (offload != Offload::none && !host) continue;
        KeepingLists& lists = keepings_[host ? 1 : 0];
        if (zero == 0) lists[0].push_back({zero, offload});
        lists[zero < 2 ? 1 : 2].push_back({zero, offload});
      }
    }
  }
}

void StrategySpace::add_layouts(const Split& split, const std::vector<std::int64_t>& replicas) {
  for (const std::int64_t dp : replicas) {
    const std::int64_t ranks = split.tp * split.cp * dp;
    if (ranks > devices_) return;
    Sizes sizes{split.tp, split.cp, split.ep, static_cast<int>(dp)};
    const bool may = ranks % split.ep == 0 && (takes(sizes, false) || takes(sizes, true));
    if (!may) continue;
    sizes.pp = static_cast<int>(std::min<std::int64_t>(most_stages_, devices_ / ranks));
    for (; sizes.pp > 0; sizes.pp = fewest_stages(sizes) - 1) layouts_.push_back(sizes);
  }
}

int StrategySpace::fewest_stages(const Sizes& layout) const {
  const int reached = groups_reached(task_.cluster, layout.devices());
  int before = 0;  // devices of the groups but the last
  for (int g = 0; g + 1 < reached; ++g) {
    const NodeGroup& group = task_.cluster.node_groups()[static_cast<std::size_t>(g)];
    before += group.nodes * group.devices_per_node;
  }
  return before / (layout.tp * layout.cp * layout.dp) + 1;
}

void StrategySpace::find_layouts() {
  const std::vector<std::int64_t> replicas = divisors(task_.global_batch, devices_);
  std::set<std::tuple<int, int, int>> seen;
  for (const Split& split : splits_) {
    if (seen.insert({split.tp, split.cp, split.ep}).second) add_layouts(split, replicas);
  }
  std::sort(layouts_.begin(), layouts_.end());
  find_apart(replicas);
}

void StrategySpace::find_apart(const std::vector<std::int64_t>& replicas) {
  std::vector<LayerId> places = split_places(task_.model);
  if (places.size() > kMostSplitPlaces)
    places.erase(places.begin(), places.end() - kMostSplitPlaces);
  const int branches = most_branches(stretches(task_.model));
  for (const std::int64_t ranks : replicas) {
    const int dp = static_cast<int>(ranks);
    if (!are_alike(task_, dp)) continue;
    const std::int64_t share = task_.global_batch / dp;
    std::vector<std::int64_t> sizes = divisors(share, share);
    std::erase_if(sizes, [&](std::int64_t size) { return share / size > kMostMicroBatches; });
    if (dp > 1) {
      apart_.push_back({.dp = dp, .micro_batch = share, .replication = Replication::dataparallel});
    }
    for (const LayerId from : places) {
      if (dp == 1 || !shares_from(task_.model, from, dp)) continue;
      for (const std::int64_t size : sizes) {
        apart_.push_back({.dp = dp, .micro_batch = size, .split_from = static_cast<int>(from)});
      }
    }
    for (int bp = 2; bp <= std::min(branches, devices_ / dp) && are_alike(task_, dp * bp); ++bp) {
      for (const std::int64_t size : sizes) {
        apart_.push_back({.dp = dp, .bp = bp, .micro_batch = size});
        if (dp > 1) apart_.push_back({.dp = dp, .bp = bp, .micro_batch = size, .zero = 1});
      }
    }
  }
}

bool StrategySpace::takes(const Sizes& sizes, bool sp) const {
  return std::any_of(splits_.begin(), splits_.end(), [&](const Split& split) {
    return split.sp == sp && split.whole_experts == sizes.deals_whole_experts() &&
           split.tp == sizes.tp && split.cp == sizes.cp && split.ep == sizes.ep;
  });
}

std::vector<Share> StrategySpace::shares(const Sizes& sizes) const {
  const std::int64_t share = task_.global_batch / sizes.dp;
  std::vector<bool> flags;
  for (const bool sp : {false, true}) {
    if (takes(sizes, sp)) flags.push_back(sp);
  }
  std::vector<Share> found;
  for (const std::int64_t micro_batch : micro_batch_sizes(share)) {
    for (const bool sp : flags) {
      found.push_back({micro_batch, share / micro_batch, sp, false});
      if (sizes.dp * sizes.cp > 1) found.push_back({micro_batch, share / micro_batch, sp, true});
    }
  }
  return found;
}

std::vector<Course> StrategySpace::courses(const Sizes& sizes, const Share& share) const {
  std::vector<Course> found;
  const auto add = [&](Schedule schedule, int vpp) {
    for (const Again again : {Again::none, Again::attention, Again::some, Again::all}) {
      const Course course{schedule, vpp, again};
      if (count(sizes.pp, vpp, again) > 0) found.push_back(course);
    }
  };
  if (sizes.pp == 1) {
    add(Schedule::one_f_one_b, 1);
    return found;
  }
  for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b, Schedule::zb_h1}) {
    add(schedule, 1);
  }
  if (share.micro_batches % sizes.pp != 0) return found;
  for (int vpp = 2; vpp * sizes.pp <= most_stages_; ++vpp) add(Schedule::interleaved, vpp);
  return found;
}

const OrderSets& StrategySpace::orders(const Sizes& sizes) const {
  Sizes key = sizes;
  key.order.reset();
  const auto [place, fresh] = orders_.try_emplace(key);
  if (fresh) place->second = distinct_orders_.of(key.strategy());
  return place->second;
}

bool StrategySpace::stand_for(const Sizes& sizes, const OrderSet& orders,
                              const RankOrder& other) const {
  return distinct_orders_.stand_for(sizes.strategy(), orders, other);
}

const PartitionSpace& StrategySpace::partitions(int pp, int vpp) const {
  const std::pair key{pp * vpp, vpp > 1};
  const auto found = partitions_.find(key);
  if (found != partitions_.end()) return found->second;
  return partitions_.emplace(key, PartitionSpace(*chain_, key.first, key.second)).first->second;
}

int StrategySpace::most_recomputed(int virtual_stages) const {
  return (chain_->layers + virtual_stages - 1) / virtual_stages - 1;
}

std::int64_t StrategySpace::count(int pp, int vpp, Again again) const {
  const std::int64_t cuts = partitions(pp, vpp).count();
  switch (again) {
    case Again::none:
    case Again::all:
      return cuts;
    case Again::attention:
      return attention_ ? cuts : 0;
    case Again::some:
      return cuts * most_recomputed(pp * vpp);
  }
  return 0;
}

std::int64_t StrategySpace::count(const Sizes& sizes, const Share& share,
                                  const Course& course) const {
  return std::ssize(keepings(sizes, share)) * count(sizes.pp, course.vpp, course.again);
}

std::int64_t StrategySpace::courses_count(int pp, bool chunks) const {
  courses_counts_.resize(2 * static_cast<std::size_t>(most_stages_ + 1), -1);
  std::int64_t& all = courses_counts_[2 * static_cast<std::size_t>(pp) + (chunks ? 1 : 0)];
  if (all >= 0) return all;
  all = 0;
  const Share share{.micro_batch = 1, .micro_batches = chunks ? pp : 1};
  for (const Course& course : courses({.pp = pp}, share)) {
    all += count(pp, course.vpp, course.again);
  }
  return all;
}

std::int64_t StrategySpace::count(const Sizes& sizes, const Share& share) const {
  const bool chunks = sizes.pp > 1 && share.micro_batches % sizes.pp == 0;
  return std::ssize(keepings(sizes, share)) * courses_count(sizes.pp, chunks);
}

std::int64_t StrategySpace::count() const {
  std::int64_t all = std::ssize(apart_);
  for (Sizes sizes : layouts_) {
    const std::vector<Share> each = shares(sizes);
    for (const int fewest = fewest_stages(sizes); sizes.pp >= fewest; --sizes.pp) {
      const std::int64_t ways = orders(sizes).orders;
      for (const Share& share : each) all += ways * count(sizes, share);
    }
  }
  return all;
}

}  // namespace foreplan
