#include "planner/best_first.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "planner/bound_keeping.hpp"
#include "planner/bound_step.hpp"
#include "planner/frontier.hpp"
#include "planner/leaf_runner.hpp"

namespace foreplan {
namespace {

using Level = SearchNode::Level;

Strategy strategy_of(const UnitChain& chain, const SearchNode& node) {
  if (node.level == Level::apart) return *node.apart;
  const Sizes& sizes = node.sizes;
  Strategy strategy{.dp = sizes.dp, .tp = sizes.tp, .pp = sizes.pp, .cp = sizes.cp, .ep = sizes.ep};
  strategy.order = sizes.order.value_or(RankOrder{});
  strategy.micro_batch = node.share.micro_batch;
  strategy.sp = node.share.sp;
  strategy.vpp = node.course.vpp;
  strategy.schedule = node.course.schedule;
  strategy.recompute = recompute_of(node.course.again);
  if (node.course.again == Again::some) strategy.recompute_layers = node.recomputed;
  strategy.zero = node.keeping.zero;
  strategy.offload = node.keeping.offload;
  strategy.layers = layers_of(chain, *node.borders);
  return strategy;
}

struct Found {
  Duration step_time{};
  int devices = 0;
  LeafJob job;
};

bool better(const Found& a, const Found& b) {
  return std::tie(a.step_time, a.devices, a.job.strategy) <
         std::tie(b.step_time, b.devices, b.job.strategy);
}

/// The best of each family of strategies that differ in their partition, in where they split and in how many
/// layers are recomputed.
class Board {
 public:
  void add(Found found) {
    Strategy family = found.job.strategy;
    family.layers.clear();
    if (family.recompute_layers) family.recompute_layers = 0;
    if (family.split_from > 0) family.split_from = 1;
    const auto [place, fresh] = best_.try_emplace(std::move(family), found);
    if (!fresh && better(found, place->second)) place->second = std::move(found);
  }

  std::vector<Found> ranked() const {
    std::vector<Found> all;
    for (const auto& [family, found] : best_) all.push_back(found);
    std::sort(all.begin(), all.end(), better);
    return all;
  }

 private:
  std::map<Strategy, Found> best_;
};

/// Strategies that are simulated together; a fixed number, so that what is simulated hangs on no thread.
constexpr std::size_t kBatch = 8;

/// Orders of ranks on their way to a node that is theirs.
struct OrdersNode {
  SearchNode node;  ///< told of the first of them
  OrderSet orders;
  Duration bound{};
};

class Search {
 public:
  Search(const Task& task, const SearchOptions& options, int devices)
      : task_(folded_task(task)),
        options_(options),
        space_(task_, std::make_shared<const UnitChain>(unit_chain(task.model)), devices),
        bounds_(task_, space_),
        runner_(task_, space_.shared_chain(), options.threads) {}

  Plan run();

 private:
  void plant();
  std::vector<std::int64_t> orders_by_stages(const Sizes& layout) const;
  void plant_apart();
  bool surely_too_large(const Strategy& scattered);
  void grow();
  void expand(SearchNode node);
  void add_stages(SearchNode node);
  void add_orders(SearchNode node);
  void add_order(SearchNode node);
  void tell_orders(SearchNode& node, const OrderSet& orders);
  void tell_order(SearchNode& node, const RankOrder& order);
  void split_orders(SearchNode node);
  bool takes_in(const OrdersNode& host, const OrdersNode& guest) const;
  void take_in(OrdersNode& host, const OrderSet& guests, std::int64_t strategies);
  void add_courses(SearchNode node);
  void fit(SearchNode node);
  void add_partitions(SearchNode node);
  void add_partition(SearchNode node);
  void add_leaves(SearchNode node);
  KeepingBounds keeping_bounds(const SearchNode& node);
  bool keep(SearchNode& node, Keepings some);
  StepBound bound_of(const SearchNode& node);
  int most_recomputed(const SearchNode& node) const;
  void push(const Rank& rank, SearchNode node);
  bool hopeless(const Rank& rank) const;
  bool close_enough(const Rank& rank) const;
  void simulate();
  void certify();
  void tell() const;
  std::optional<SearchNode> nearest();
  void look(SearchNode node, Bytes& least, std::optional<SearchNode>& nearest);

  const Task task_;
  const SearchOptions& options_;
  StrategySpace space_;
  Bounds bounds_;
  LeafRunner runner_;
  std::set<OrderSet> order_sets_;
  Frontier open_;
  std::vector<SearchNode> batch_;
  Board board_;
  std::optional<Found> best_;
  Certificate certificate_;
};

/// Nothing below is better than the best found.
bool Search::hopeless(const Rank& rank) const {
  if (options_.exhaustive || !best_) return false;
  return rank > Rank{best_->step_time, best_->devices};
}

/// Nothing below is better by more than the gap that is asked for.
bool Search::close_enough(const Rank& rank) const {
  if (options_.exhaustive || !best_) return false;
  if (hopeless(rank)) return true;
  return options_.gap > 0 && seconds(rank.bound) * (1 + options_.gap) >= seconds(best_->step_time);
}

void Search::push(const Rank& rank, SearchNode node) {
  if (hopeless(rank)) {
    certificate_.bounded_out += node.count;
  } else {
    open_.push(options_.exhaustive ? Rank{} : rank, std::move(node));
  }
}

/// How many there are, with the most stages of a layout first.
std::vector<std::int64_t> Search::orders_by_stages(const Sizes& layout) const {
  std::vector<std::int64_t> orders;
  const int fewest = space_.fewest_stages(layout);
  for (Sizes sizes = layout; sizes.pp >= fewest; --sizes.pp) {
    orders.push_back(space_.orders(sizes).orders);
  }
  return orders;
}

void Search::plant() {
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
bool Search::surely_too_large(const Strategy& strategy) {
  if (options_.exhaustive || strategy.replication != Replication::dataparallel) return false;
  const UnitSums& units = bounds_.units({.dp = strategy.dp},
                                        {.micro_batch = *strategy.micro_batch, .micro_batches = 1});
  const std::int64_t parameters = units.dense.back() + units.expert.back();
  const Bytes state =
      parameters * (2 * element_size(task_.precision) + Bytes{4 * state_tensors(task_.optimizer)});
  return state > task_.cluster.device(DeviceId{0}).memory;
}

void Search::plant_apart() {
  for (const Strategy& strategy : space_.apart()) {
    ++certificate_.strategies;
    if (surely_too_large(strategy)) {
      ++certificate_.out_of_memory;
      continue;
    }
    push({bounds_.of(strategy), strategy.devices()}, {.level = Level::apart, .apart = &strategy});
  }
}

void Search::expand(SearchNode node) {
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

KeepingBounds Search::keeping_bounds(const SearchNode& node) {
  return {bounds_, node.sizes, node.share, *node.units, *node.facts};
}

/// Of the node's keepings some only: under the others nothing fits. False where none is left.
bool Search::keep(SearchNode& node, Keepings some) {
  const std::int64_t each = node.count / std::popcount(node.keepings);
  const std::int64_t left = each * std::popcount(some);
  certificate_.out_of_memory += node.count - left;
  node.count = left;
  node.keepings = some;
  return some != 0;
}

void Search::add_stages(SearchNode node) {
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
void Search::add_order(SearchNode node) {
  node.level = Level::order;
  KeepingBounds bounds = keeping_bounds(node);
  node.keepings = bounds.all();
  if (!options_.exhaustive && !keep(node, bounds.holding())) return;
  push({bounds.of(node.keepings), node.sizes.devices()}, std::move(node));
}

/// A leaf whose order is still open.
void Search::split_orders(SearchNode node) {
  const OrderSet& orders = *std::exchange(node.orders, nullptr);
  node.count = 1;
  for (const RankOrder& order : orders) {
    tell_order(node, order);
    const Duration bound = options_.exhaustive ? Duration{} : bound_of(node).time(node.keeping);
    push({bound, node.sizes.devices()}, node);
  }
}

void Search::tell_order(SearchNode& node, const RankOrder& order) {
  node.sizes.order = order;
  node.units = &bounds_.units(node.sizes, node.share);
  node.facts = &bounds_.facts(node.sizes);
}

/// All of a set, whose units are no faster than the first's; of groups and hops the fastest count.
void Search::tell_orders(SearchNode& node, const OrderSet& orders) {
  tell_order(node, orders.front());
  if (orders.size() == 1) return;
  node.orders = &orders;
  node.facts = &bounds_.facts(node.sizes, orders);
}

void Search::add_orders(SearchNode node) {
  std::vector<OrdersNode> open;
  for (const OrderSet& orders : space_.orders(node.sizes).sets) {
    OrdersNode next{.node = node, .orders = orders};
    tell_order(next.node, orders.front());
    next.bound = bounds_.of(node.sizes, node.share, next.node.units->totals[0]);
    const auto host = std::find_if(open.begin(), open.end(),
                                   [&](const OrdersNode& other) { return takes_in(other, next); });
    if (host == open.end() || options_.exhaustive) {
      open.push_back(std::move(next));
    } else {
      take_in(*host, next.orders, space_.count(node.sizes, node.share));
    }
  }
  for (OrdersNode& each : open) {
    tell_orders(each.node, *order_sets_.insert(std::move(each.orders)).first);
    each.node.count = each.node.ways() * space_.count(node.sizes, node.share);
    add_order(std::move(each.node));
  }
}

/// Units that exchange faster bound both, and below what is hardly slower there is as much to look at.
bool Search::takes_in(const OrdersNode& host, const OrdersNode& guest) const {
  constexpr double kHardly = 1.1;
  return seconds(guest.bound) <= kHardly * seconds(host.bound) && bounds_.kinds() == 1 &&
         host.node.units->table->exchanges_within(*guest.node.units->table);
}

/// What meets the same as an earlier order with faster units is no faster, and loses ties.
void Search::take_in(OrdersNode& host, const OrderSet& guests, std::int64_t strategies) {
  const OrderSet before = host.orders;
  for (const RankOrder& guest : guests) {
    if (space_.stand_for(host.node.sizes, before, guest)) {
      certificate_.bounded_out += strategies;
    } else {
      host.orders.push_back(guest);
    }
  }
}

void Search::add_courses(SearchNode node) {
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
void Search::fit(SearchNode node) {
  node.level = Level::fitting;
  KeepingBounds bounds = keeping_bounds(node);
  const bool all = options_.exhaustive;
  if (!all && !keep(node, bounds.fitting(node.course, node.keepings))) return;
  push({bounds.of(node.course, node.keepings), node.sizes.devices()}, std::move(node));
}

StepBound Search::bound_of(const SearchNode& node) {
  return {bounds_,
          {.sizes = node.sizes,
           .share = node.share,
           .course = node.course,
           .borders = *node.borders,
           .recomputed = node.recomputed,
           .units = *node.units,
           .facts = *node.facts}};
}

int Search::most_recomputed(const SearchNode& node) const {
  if (node.course.again != Again::some) return 0;
  return space_.most_recomputed(node.sizes.pp * node.course.vpp);
}

void Search::add_partitions(SearchNode node) {
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
void Search::add_partition(SearchNode node) {
  const Duration bound = options_.exhaustive ? Duration{} : bound_of(node).least();
  const int devices = node.sizes.devices();
  push({bound, devices}, std::move(node));
}

void Search::add_leaves(SearchNode node) {
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

void Search::simulate() {
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

void Search::tell() const {
  if (!options_.progress) return;
  const Certificate& c = certificate_;
  options_.progress(c.simulated + c.out_of_memory + c.bounded_out, c.strategies);
}

/// Best bound first, until what is left is no better than the best.
void Search::grow() {
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

void Search::certify() {
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

Plan Search::run() {
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
void Search::look(SearchNode node, Bytes& least, std::optional<SearchNode>& nearest) {
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
std::optional<SearchNode> Search::nearest() {
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

}  // namespace

Plan best_first(const Task& task, const SearchOptions& options, int devices) {
  return Search(task, options, devices).run();
}

}  // namespace foreplan
