#include "planner/best_first.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "planner/best_first_search.hpp"

namespace foreplan {
namespace {

/// Strategies that are simulated together; a fixed number, so that what is simulated hangs on no thread.
constexpr std::size_t kBatch = 8;

}  // namespace

/// Nothing below is better than the best found.
bool BestFirst::hopeless(const Rank& rank) const {
  if (options_.exhaustive || !best_) return false;
  return rank > Rank{best_->step_time, best_->devices};
}

/// Nothing below is better by more than the gap that is asked for.
bool BestFirst::close_enough(const Rank& rank) const {
  if (options_.exhaustive || !best_) return false;
  if (hopeless(rank)) return true;
  return options_.gap > 0 && seconds(rank.bound) * (1 + options_.gap) >= seconds(best_->step_time);
}

void BestFirst::push(const Rank& rank, SearchNode node) {
  if (hopeless(rank)) {
    certificate_.bounded_out += node.count;
  } else {
    open_.push(options_.exhaustive ? Rank{} : rank, std::move(node));
  }
}

void BestFirst::plant() {
  std::vector<std::pair<Sizes, Share>> all;
  std::vector<std::int64_t> strategies;
  for (Sizes layout : space_.layouts()) {
    const std::vector<std::int64_t> orders = orders_by_stages(layout);
    // Where it makes no difference, it is told.
    if (*std::max_element(orders.begin(), orders.end()) == 1) layout.order = RankOrder{};
    for (const Share& share : space_.shares(layout)) {
      all.emplace_back(layout, share);
      std::int64_t& below = strategies.emplace_back(0);
      for (Sizes sizes = layout; layout.pp - sizes.pp < std::ssize(orders); --sizes.pp) {
        below +=
            orders[static_cast<std::size_t>(layout.pp - sizes.pp)] * space_.count(sizes, share);
      }
    }
  }
  bounds_.total(all, runner_.workers());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [layout, share] = all[i];
    const UnitTotals& units = bounds_.totals(layout, share);
    const int fewest = space_.fewest_stages(layout);
    Duration least = Duration::max();
    for (Sizes sizes = layout; sizes.pp >= fewest; --sizes.pp) {
      least = std::min(least, bounds_.of(sizes, share, units));
    }
    certificate_.strategies += strategies[i];
    push({least, layout.tp * layout.cp * layout.dp},
         {.level = Level::share, .sizes = layout, .share = share, .count = strategies[i]});
  }
  plant_apart();
}

/// PyTorch's DataParallel keeps everything on device 0.
bool BestFirst::surely_too_large(const Strategy& strategy) {
  if (options_.exhaustive || strategy.replication != Replication::dataparallel) return false;
  const UnitSums& units = bounds_.units({.dp = strategy.dp},
                                        {.micro_batch = *strategy.micro_batch, .micro_batches = 1});
  const std::int64_t parameters = units.dense.back() + units.expert.back();
  const Bytes state =
      parameters * (2 * element_size(task_.precision) + Bytes{4 * state_tensors(task_.optimizer)});
  return state > task_.cluster.device(DeviceId{0}).memory;
}

void BestFirst::plant_apart() {
  for (const Strategy& strategy : space_.apart()) {
    ++certificate_.strategies;
    if (surely_too_large(strategy)) {
      ++certificate_.out_of_memory;
      continue;
    }
    push({bounds_.of(strategy), strategy.devices()}, {.level = Level::apart, .apart = &strategy});
  }
}

void BestFirst::expand(SearchNode node) {
  switch (node.level) {
    case Level::share:
      return add_stages(std::move(node));
    case Level::stages:
      return add_orders(std::move(node));
    case Level::order:
      return add_courses(std::move(node));
    case Level::course:
      return fit(std::move(node));
    case Level::fitting:
      return add_partitions(std::move(node));
    case Level::partition:
      return add_leaves(std::move(node));
    case Level::leaf:
      if (node.orders != nullptr) return split_orders(std::move(node));
      [[fallthrough]];
    case Level::apart:
      batch_.push_back(std::move(node));
  }
}

KeepingBounds BestFirst::keeping_bounds(const SearchNode& node) {
  return {bounds_, node.sizes, node.share, *node.units, *node.facts};
}

/// Of the node's keepings some only: under the others nothing fits. False where none is left.
bool BestFirst::keep(SearchNode& node, Keepings some) {
  const std::int64_t each = node.count / std::popcount(node.keepings);
  const std::int64_t left = each * std::popcount(some);
  certificate_.out_of_memory += node.count - left;
  node.count = left;
  node.keepings = some;
  return some != 0;
}

void BestFirst::add_stages(SearchNode node) {
  node.units = &bounds_.units(node.sizes, node.share);
  for (const int fewest = space_.fewest_stages(node.sizes); node.sizes.pp >= fewest;
       --node.sizes.pp) {
    const OrderSets& orders = space_.orders(node.sizes);
    SearchNode child = node;
    child.level = Level::stages;
    child.count = orders.orders * space_.count(child.sizes, child.share);
    if (orders.sets.size() == 1) {
      tell_orders(child, orders.sets.front());
      add_order(std::move(child));
      continue;
    }
    const Duration bound = bounds_.of(child.sizes, child.share, child.units->totals[0]);
    push({bound, child.sizes.devices()}, std::move(child));
  }
}

/// Leaves out what holds no state.
void BestFirst::add_order(SearchNode node) {
  node.level = Level::order;
  KeepingBounds bounds = keeping_bounds(node);
  node.keepings = bounds.all();
  if (!options_.exhaustive && !keep(node, bounds.holding())) return;
  push({bounds.of(node.keepings), node.sizes.devices()}, std::move(node));
}

void BestFirst::add_courses(SearchNode node) {
  node.level = Level::course;
  KeepingBounds bounds = keeping_bounds(node);
  const int keepings = std::popcount(node.keepings);
  for (const Course& course : space_.courses(node.sizes, node.share)) {
    node.course = course;
    node.count = keepings * node.ways() * space_.count(node.sizes.pp, course.vpp, course.again);
    push({bounds.of(course, node.keepings), node.sizes.devices()}, node);
  }
}

/// Leaves out what fits with no partition; what is left may take longer.
void BestFirst::fit(SearchNode node) {
  node.level = Level::fitting;
  KeepingBounds bounds = keeping_bounds(node);
  const bool all = options_.exhaustive;
  if (!all && !keep(node, bounds.fitting(node.course, node.keepings))) return;
  push({bounds.of(node.course, node.keepings), node.sizes.devices()}, std::move(node));
}

StepBound BestFirst::bound_of(const SearchNode& node) {
  return {bounds_,
          {.sizes = node.sizes,
           .share = node.share,
           .course = node.course,
           .borders = *node.borders,
           .recomputed = node.recomputed,
           .units = *node.units,
           .facts = *node.facts}};
}

int BestFirst::most_recomputed(const SearchNode& node) const {
  if (node.course.again != Again::some) return 0;
  return space_.most_recomputed(node.sizes.pp * node.course.vpp);
}

void BestFirst::add_partitions(SearchNode node) {
  node.level = Level::partition;
  const int fitting = std::popcount(node.keepings);
  node.recomputed = node.course.again == Again::some ? 1 : 0;
  node.count = fitting * node.ways() * std::max(1, most_recomputed(node));
  const std::vector<Borders> partitions = bounds_.partitions(node.sizes, node.share, node.course);
  for (auto at = partitions.begin(); at != partitions.end(); ++at) {
    const bool twin = std::find(partitions.begin(), at, *at) != at;
    if (twin && !options_.exhaustive) {
      certificate_.bounded_out += node.count;
      continue;
    }
    node.borders = std::make_shared<const Borders>(*at);
    add_partition(node);
  }
}

/// With `node.recomputed` layers or more, which takes no less time.
void BestFirst::add_partition(SearchNode node) {
  const Duration bound = options_.exhaustive ? Duration{} : bound_of(node).least();
  const int devices = node.sizes.devices();
  push({bound, devices}, std::move(node));
}

void BestFirst::add_leaves(SearchNode node) {
  if (node.recomputed < most_recomputed(node)) {
    SearchNode more = node;
    ++more.recomputed;
    more.count -= node.ways() * std::popcount(node.keepings);
    add_partition(std::move(more));
  }
  StepBound bound = bound_of(node);
  const std::vector<Keeping>& keepings = space_.keepings(node.sizes, node.share);
  SearchNode leaf = node;
  leaf.level = Level::leaf;
  leaf.count = node.ways();
  // Those that move no activations first: they share what others make anew.
  for (const bool moving : {false, true}) {
    for (std::size_t k = 0; k < keepings.size(); ++k) {
      if ((node.keepings >> k & 1) == 0 || moves_activations(keepings[k]) != moving) continue;
      leaf.keeping = keepings[k];
      if (options_.exhaustive) {
        push({}, leaf);
      } else if (bound.over(leaf.keeping) > Bytes{}) {
        certificate_.out_of_memory += leaf.count;
      } else {
        push({bound.time(leaf.keeping), node.sizes.devices()}, leaf);
      }
    }
  }
}

void BestFirst::simulate() {
  std::vector<LeafJob> jobs;
  for (const SearchNode& node : batch_) {
    jobs.push_back({.strategy = strategy_of(space_.chain(), node),
                    .units = node.units != nullptr ? node.units->table : nullptr});
  }
  const std::vector<LeafResult> results = runner_.run(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].feasible) {
      ++certificate_.out_of_memory;
      continue;
    }
    ++certificate_.simulated;
    Found found{results[i].step_time, jobs[i].strategy.devices(), std::move(jobs[i])};
    if (!best_ || better(found, *best_)) best_ = found;
    board_.add(std::move(found));
  }
  batch_.clear();
  tell();
}

void BestFirst::tell() const {
  if (!options_.progress) return;
  const Certificate& c = certificate_;
  options_.progress(c.simulated + c.out_of_memory + c.bounded_out, c.strategies);
}

/// Best bound first, until what is left is no better than the best.
void BestFirst::grow() {
  while (!open_.empty() || !batch_.empty()) {
    const bool done = open_.empty() || close_enough(open_.least());
    if (batch_.size() == kBatch || (done && !batch_.empty())) {
      simulate();
      if (options_.stop && options_.stop()) return;
      continue;
    }
    if (done) return;
    expand(open_.pop());
  }
}

void BestFirst::certify() {
  Certificate& c = certificate_;
  const Duration least = open_.empty() ? Duration::max() : open_.least().bound;
  const bool proven = !open_.empty() && hopeless(open_.least());
  (proven ? c.bounded_out : c.open) += open_.strategies();
  if (!best_) return;
  c.lower_bound = std::min(least, best_->step_time);
  if (c.lower_bound == best_->step_time) return;
  c.gap = c.lower_bound > Duration{} ? seconds(best_->step_time) / seconds(c.lower_bound) - 1
                                     : std::numeric_limits<double>::infinity();
}

Plan BestFirst::run() {
  Plan plan;
  plan.one_device = FoldedStep(task_, {}).estimate(task_.costs);
  plant();
  grow();
  certify();
  plan.certificate = certificate_;
  std::vector<Found> ranked = board_.ranked();
  if (ranked.empty()) {
    if (const auto node = nearest()) {
      plan.alternatives.push_back(runner_.estimate(
          {.strategy = strategy_of(space_.chain(), *node), .units = node->units->table}));
    }
    return plan;
  }
  plan.best = runner_.estimate(ranked.front().job);
  ranked.erase(ranked.begin());
  if (ranked.size() > options_.top) ranked.resize(options_.top);
  for (const Found& other : ranked) plan.alternatives.push_back(runner_.estimate(other.job));
  return plan;
}

/// Looks at every partition and keeping of a node for one that is over by less.
void BestFirst::look(SearchNode node, Bytes& least, std::optional<SearchNode>& nearest) {
  for (const Borders& borders : bounds_.partitions(node.sizes, node.share, node.course)) {
    node.borders = std::make_shared<const Borders>(borders);
    StepBound bound = bound_of(node);
    for (const Keeping& keeping : space_.keepings(node.sizes, node.share)) {
      const Bytes over = bound.over(keeping);
      if (over >= least) continue;
      least = over;
      nearest = node;
      nearest->keeping = keeping;
    }
  }
}

/// Where nothing fits: what is over by least, of what keeps little, the smallest micro-batch under 1F1B.
std::optional<SearchNode> BestFirst::nearest() {
  std::optional<SearchNode> nearest;
  Bytes least{std::numeric_limits<std::int64_t>::max()};
  for (Sizes sizes : space_.layouts()) {
    const std::vector<Share> shares = space_.shares(sizes);
    for (const int fewest = space_.fewest_stages(sizes); sizes.pp >= fewest; --sizes.pp) {
      for (const Share& share : shares) {
        if (share.micro_batch != shares.front().micro_batch) continue;
        for (const Again again : {Again::none, Again::all}) {
          SearchNode node{.level = Level::leaf,
                          .sizes = sizes,
                          .share = share,
                          .course = {Schedule::one_f_one_b, 1, again}};
          tell_order(node, RankOrder{});
          look(node, least, nearest);
        }
      }
    }
  }
  return nearest;
}

Plan best_first(const Task& task, const SearchOptions& options, int devices) {
  return BestFirst(task, options, devices).run();
}

}  // namespace foreplan
