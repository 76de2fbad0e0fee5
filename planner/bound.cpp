#include "planner/bound.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "planner/ceil_div.hpp"
#include "planner/optimizer_update.hpp"
#include "planner/rank_unit.hpp"

namespace foreplan {
namespace {

Strategy strategy_of(const Sizes& sizes, const Share& share) {
  Strategy strategy = sizes.strategy();
  strategy.micro_batch = share.micro_batch;
  strategy.sp = share.sp;
  strategy.zero = share.sharded ? 2 : 0;
  return strategy;
}

/// A bound in doubles, down to where their rounding cannot matter.
std::int64_t rounded_down(double time) {
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(time * (1 - 1e-12)));
}

/// What a node's micro-batches take at least: some layers recomputed may be none.
Recompute least_recompute(Again again) {
  return again == Again::some ? Recompute::none : recompute_of(again);
}

/// Upper bound of the sum over stages i of 1 / (m - 1 - a min(m - 1, p - 1 - i)): flat where the minimum is
/// m - 1, then convex, so that its trapezoid is above it.
double inverse_sum(double m, double p, double a) {
  const double flat = std::max(0.0, p - m), rest = p - flat;
  const double lowest = (m - 1) - a * std::min(m - 1, rest - 1), highest = m - 1;
  return flat / ((m - 1) * (1 - a)) + rest * (1 / lowest + 1 / highest) / 2;
}

}  // namespace

Bounds::Bounds(const Task& task, const StrategySpace& space)
    : task_(task), space_(space), kinds_(device_kinds(task)), stretches_(stretches(task.model)) {
  const UnitChain& chain = space.chain();
  for (std::size_t i = 0; i < chain.units.size(); ++i) {
    const auto unit_class = static_cast<std::size_t>(chain.units[i]);
    layers_before_.push_back(static_cast<std::int32_t>(layers_.size()));
    if (chain.classes[unit_class].role == BlockRole::layer) {
      layers_.push_back(static_cast<std::int32_t>(i));
    }
  }
  layers_before_.push_back(static_cast<std::int32_t>(layers_.size()));
  run_ends_.resize(chain.units.size());
  for (std::size_t i = chain.units.size(); i-- > 0;) {
    const bool goes_on = i + 1 < chain.units.size() && chain.units[i] == chain.units[i + 1];
    run_ends_[i] = goes_on ? run_ends_[i + 1] : static_cast<std::int32_t>(i) + 1;
  }
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    fastest_host_ = std::max(fastest_host_, host_bandwidth(k));
    largest_ = std::max(largest_, capacity(k));
  }
}

Bounds::Where Bounds::where(const Sizes& sizes) const {
  const RankLayout layout(strategy_of(sizes, {}));
  const int node = node_devices(task_.cluster, sizes.devices());
  if (node > 0) {
    return {.reached = groups_reached(task_.cluster, sizes.devices()),
            .places = places_of(layout, node)};
  }
  const RankOrder order = sizes.order.value_or(RankOrder{});
  const bool last = order.dimensions.back() == Dimension::pp;
  return {.order = order, .stages = last ? 0 : sizes.pp};
}

Bounds::UnitKey Bounds::unit_key(const Sizes& sizes, const Share& share, Where where) {
  // Units exchange with those beside them only.
  where.places = {.tensor = where.places.tensor,
                  .context = where.places.context,
                  .expert = where.places.expert};
  return {sizes.tp,
          sizes.cp,
          sizes.ep,
          share.micro_batch,
          share.sp,
          share.micro_batches > 1 && !share.sharded,
          sizes.deals_whole_experts(),
          where};
}

/// @param lowered  for another order; null: none is
std::shared_ptr<const UnitSums> Bounds::priced(const Sizes& sizes, const Share& share,
                                               const RankGroups& groups,
                                               const UnitSums* lowered) const {
  const Strategy strategy = strategy_of(sizes, share);
  auto table = lowered != nullptr
                   ? std::make_shared<UnitTable>(task_, *lowered->table, groups)
                   : std::make_shared<UnitTable>(task_, space_.chain(), strategy, groups);
  table->price_all(task_, strategy, kinds_);
  return std::make_shared<UnitSums>(task_, space_.chain(), std::move(table), kinds_, strategy);
}

/// Whether the usual order lets every exchange take as little as any.
bool Bounds::as_usual(const UnitTable& table, const Sizes& sizes) {
  const RankGroups& groups = facts(sizes).groups();
  for (const UnitWork& work : table.works()) {
    for (const Exchange& exchange : work.exchanges) {
      if (exchange.time != exchange_time(exchange, groups, task_.stack)) return false;
    }
  }
  return true;
}

const UnitSums& Bounds::units(const Sizes& sizes, const Share& share) {
  const UnitKey any = any_order(sizes, share);
  const auto open = units_.find(any);
  if (!sizes.order && open != units_.end()) return *open->second;
  const UnitKey told = unit_key(sizes, share, where(sizes));
  if (sizes.order) {
    std::shared_ptr<const UnitSums>& place = units_[told];
    const UnitSums* lowered = open == units_.end() ? nullptr : open->second.get();
    if (!place) place = priced(sizes, share, facts(sizes).groups(), lowered);
    return *place;
  }
  const auto made = priced(sizes, share, groups_of(sizes), nullptr);
  units_.emplace(any, made);
  if (as_usual(*made->table, sizes)) units_.emplace(told, made);
  return *made;
}

Bounds::UnitKey Bounds::any_order(const Sizes& sizes, const Share& share) const {
  return unit_key(sizes, share,
                  {.reached = groups_reached(task_.cluster, sizes.devices()),
                   .places = {.tensor = 0, .context = 0, .expert = 0}});
}

Bounds::UnitKey Bounds::total_key(const Sizes& sizes, const Share& share) const {
  return sizes.order ? unit_key(sizes, share, where(sizes)) : any_order(sizes, share);
}

/// Where the order told puts them, or where exchanges take least.
RankGroups Bounds::groups_of(const Sizes& sizes) const {
  RankGroups groups(task_.cluster, strategy_of(sizes, {}), task_.collectives, &task_.costs);
  if (!sizes.order) groups.allow_any_order();
  return groups;
}

const UnitTotals& Bounds::totals(const Sizes& sizes, const Share& share) {
  const auto [place, fresh] = totals_.try_emplace(total_key(sizes, share));
  if (fresh) {
    place->second =
        unit_totals(task_, space_.chain(), strategy_of(sizes, share), groups_of(sizes), kinds_);
  }
  return place->second;
}

void Bounds::total(std::span<const std::pair<Sizes, Share>> all, WorkerPool& workers) {
  std::vector<std::pair<const std::pair<Sizes, Share>*, UnitTotals*>> jobs;
  for (const auto& each : all) {
    const auto [place, fresh] = totals_.try_emplace(total_key(each.first, each.second));
    if (fresh) jobs.emplace_back(&each, &place->second);
  }
  std::vector<std::exception_ptr> errors(jobs.size());
  workers.run(jobs.size(), [&](std::size_t i, std::size_t) {
    const auto& [sizes, share] = *jobs[i].first;
    try {
      *jobs[i].second =
          unit_totals(task_, space_.chain(), strategy_of(sizes, share), groups_of(sizes), kinds_);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

LayoutFacts& Bounds::facts(const Sizes& sizes) {
  return facts(sizes, {sizes.order.value_or(RankOrder{})});
}

LayoutFacts& Bounds::facts(const Sizes& sizes, const OrderSet& orders) {
  std::vector<Where> places;
  Sizes told = sizes;
  for (const RankOrder& order : orders) {
    told.order = order;
    places.push_back(where(told));
  }
  return facts_
      .try_emplace({sizes.tp, sizes.cp, sizes.ep, sizes.dp, std::move(places)}, task_,
                   space_.chain(), sizes, orders)
      .first->second;
}

Bytes Bounds::capacity(std::size_t kind) const {
  return task_.cluster.specs()[static_cast<std::size_t>(kinds_[kind].spec)].memory -
         task_.stack.context_bytes;
}

const std::vector<EndStages>& Bounds::end_stages(int pp, int vpp) {
  const auto [place, fresh] = end_stages_.try_emplace({pp, vpp});
  if (fresh) {
    place->second = foreplan::end_stages(space_.chain(), space_.partitions(pp, vpp).listed(), pp);
  }
  return place->second;
}

const Bounds::Devices& Bounds::devices(const Sizes& sizes) {
  Sizes key{.pp = sizes.pp};  // where devices are alike, all replicas are
  if (kinds_.size() > 1) {
    key = sizes;
    key.ep = 1;
  }
  const auto [place, fresh] = devices_.try_emplace(key);
  Devices& found = place->second;
  if (!fresh) return found;
  for (const Replica& replica : distinct_replicas(task_, strategy_of(sizes, {}))) {
    std::vector<std::size_t>& stages = found.replicas.emplace_back();
    for (const DeviceKind& kind : replica) {
      stages.push_back(
          static_cast<std::size_t>(std::find(kinds_.begin(), kinds_.end(), kind) - kinds_.begin()));
    }
    found.capacity.resize(stages.size(), Bytes{std::numeric_limits<std::int64_t>::max()});
    for (std::size_t s = 0; s < stages.size(); ++s) {
      found.capacity[s] = std::min(found.capacity[s], capacity(stages[s]));
    }
  }
  return found;
}

Duration Bounds::update(std::int64_t own, std::int64_t fp8, std::size_t kind) {
  const auto [place, fresh] = updates_.try_emplace({own, fp8, kind});
  if (fresh) {
    const DeviceSpec& spec = task_.cluster.specs()[static_cast<std::size_t>(kinds_[kind].spec)];
    place->second = update_time(update_ops(task_, own, fp8), task_.costs, spec);
  }
  return place->second;
}

Duration Bounds::behind(const Optimized& stage, std::size_t kind, const Keeping& keeping,
                        LayoutFacts& facts) {
  const StageState& state = stage.state;
  const std::int64_t own = own_parameters(state, {.zero = keeping.zero}, facts.groups());
  Duration update{};
  if (stage.unmeasured > 0) {
    update = this->update(own, state.fp8, kind);
  } else if (state.dense + state.expert > 0) {
    // What was measured of all layers, of which a rank does its share; to the picosecond below.
    const double share = static_cast<double>(own) / static_cast<double>(state.dense + state.expert);
    update = Duration{static_cast<std::int64_t>(static_cast<double>(stage.update) * share)};
  }
  if (moves_state(keeping)) {
    const Bytes bytes{own * state_bytes(task_)};
    update = std::max(update, bytes / host_bandwidth(kind));
  }
  return update + facts.gather(state, keeping.zero);
}

/// What the stage that works longest on a micro-batch takes at least: the mean over stages, each as fast as
/// its device; and a stage of the layers that are left to one however they are dealt.
std::int64_t Bounds::heaviest(const Sizes& sizes, const UnitTotals& units) {
  const auto layers = static_cast<std::int64_t>(layers_.size());
  const std::int64_t share = ceil_div(layers, sizes.pp) * units.least_layer;
  if (kinds_.size() == 1) return std::max(share, units.whole / sizes.pp);
  if (sizes.order) return std::max(share, rounded_down(slowest_replica(sizes, units)));
  double slowest = std::numeric_limits<double>::infinity();
  for (const OrderSet& orders : space_.orders(sizes).sets) {
    Sizes told = sizes;
    told.order = orders.front();
    slowest = std::min(slowest, slowest_replica(told, units));
  }
  return std::max(share, rounded_down(slowest));
}

/// Of the replica that comes off worst: the mean over its stages.
double Bounds::slowest_replica(const Sizes& sizes, const UnitTotals& units) {
  double slowest = 0;
  for (const std::vector<std::size_t>& replica : devices(sizes).replicas) {
    double rate = 0;
    for (const std::size_t kind : replica) rate += 1 / units.paces[kind];
    slowest = std::max(slowest, static_cast<double>(units.whole) / rate);
  }
  return slowest;
}

Duration Bounds::of(const Sizes& sizes, const Share& share, const UnitTotals& units) {
  const std::int64_t path = units.forward + units.input;
  return Duration{std::max(path, share.micro_batches * heaviest(sizes, units))};
}

/// From the first virtual stage to the last [ps].
std::int64_t Bounds::hops(const Sizes& sizes, const Share& share, int vpp, const UnitSums& units,
                          LayoutFacts& facts) const {
  if (sizes.pp == 1) return 0;
  const std::int64_t once = facts.way(sizes.pp, units.least_leaving, share.sp).count();
  const Duration around = facts.hop(sizes.pp - 1, 0, units.least_leaving, share.sp);
  return vpp * once + (vpp - 1) * around.count();
}

Duration Bounds::of(const Sizes& sizes, const Share& share, const Course& course,
                    const UnitSums& units, LayoutFacts& facts) {
  const Recompute recompute = least_recompute(course.again);
  const UnitSums::Times& least = units.least(recompute);
  const std::int64_t slowest = heaviest(sizes, units.totals[static_cast<std::size_t>(recompute)]);
  const std::int64_t way = hops(sizes, share, course.vpp, units, facts);
  const std::int64_t whole = least.whole.back() + 2 * way;
  const std::int64_t path = least.forward.back() + least.input.back() + 2 * way;
  const std::int64_t m = share.micro_batches, p = sizes.pp;
  std::int64_t time = std::max(path, m * slowest);
  if (course.schedule == Schedule::gpipe) time = std::max(time, whole + (m - 1) * slowest);
  if (course.schedule == Schedule::zb_h1) time = std::max(time, ceil_div(m, p) * path);
  const bool plain = course.schedule == Schedule::one_f_one_b;
  if (plain) time = std::max({time, whole, ceil_div(m, p) * whole});
  if (plain && m > 1 && p > 1 && least.forward_share < 1) {
    time = std::max(time, whole + filled(m, p, slowest, least));
  }
  return Duration{time};
}

/// 1F1B, beyond a micro-batch's whole way: stage i has, behind its first backward, all backwards and but
/// min(m, p - i) forwards to do, so that the way and
///
///   (m - 1) t_i - min(m - 1, p - 1 - i) f_i       with f_i <= a t_i, and t_i adding up to all work
///
/// is a bound for every i. The least that the largest of these can be is where all are equal. What the
/// embedding's forward exceeds a t by is taken off.
std::int64_t Bounds::filled(std::int64_t m, std::int64_t p, std::int64_t slowest,
                            const UnitSums::Times& times) const {
  const double a = times.forward_share;
  const auto first = static_cast<std::size_t>(space_.chain().first_layer);
  const double extra =
      static_cast<double>(times.forward[first]) - a * static_cast<double>(times.whole[first]);
  const double off = std::max(0.0, extra) * static_cast<double>(std::min(m, p) - 1);
  const auto dm = static_cast<double>(m), dp = static_cast<double>(p);
  const double most = static_cast<double>(slowest) * (dm - 1 - a * std::min(dm - 1, dp - 1));
  if (kinds_.size() > 1) return rounded_down(most - off);
  const double mean = static_cast<double>(times.whole.back()) / inverse_sum(dm, dp, a);
  return rounded_down(std::max(most, mean) - off);
}

}  // namespace foreplan
