#include "planner/best_first.hpp"

#include <algorithm>
#include <limits>

#include "planner/bound.hpp"
#include "planner/leaf_runner.hpp"

namespace foreplan {
namespace {

/// A set of strategies: all that share what is told so far.
struct Node {
  enum class Level : std::uint8_t { share, stages, course, keeping, leaf, scattered };
  Level level = Level::share;
  Sizes sizes{};  ///< at Level::share with the most stages
  Share share{};
  Course course{};
  Keeping keeping{};
  int recomputed = 0;
  std::shared_ptr<const Borders> borders{};
  const UnitSums* units = nullptr;
  LayoutFacts* facts = nullptr;
  std::int64_t count = 1;  ///< strategies
};

/// What a node is worth: bounds first, then devices.
struct Rank {
  Duration bound{};
  int devices = 0;
  friend auto operator<=>(const Rank&, const Rank&) = default;
};

struct Entry {
  Rank rank{};
  int depth = 0;
  std::int64_t sequence = 0;  ///< in the order of making, so that nothing is left to chance
  Node node;
};

/// Whether `a` is looked at behind `b`: the worse rank; of equals what is less deep, then what is younger.
struct Behind {
  using Ptr = std::unique_ptr<Entry>;
  bool operator()(const Ptr& a, const Ptr& b) const {
    if (a->rank != b->rank) return a->rank > b->rank;
    if (a->depth != b->depth) return a->depth < b->depth;
    return a->sequence > b->sequence;
  }
};

Strategy strategy_of(const UnitChain& chain, const Node& node) {
  const Sizes& sizes = node.sizes;
  Strategy strategy{.dp = sizes.dp, .tp = sizes.tp, .pp = sizes.pp, .cp = sizes.cp, .ep = sizes.ep};
  strategy.micro_batch = node.share.micro_batch;
  if (node.level == Node::Level::scattered) {
    strategy.replication = Replication::dataparallel;
    return strategy;
  }
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

/// The best of each family of strategies that differ in their partition and in how many layers are
/// recomputed.
class Board {
 public:
  void add(Found found) {
    Strategy family = found.job.strategy;
    family.layers.clear();
    if (family.recompute_layers) family.recompute_layers = 0;
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
  using Level = Node::Level;

  void plant();
  void plant_scattered();
  void grow();
  void expand(const Node& node);
  void add_stages(Node node);
  void add_courses(Node node);
  void add_keepings(Node node);
  void add_leaves(Node node);
  void add_partition(Node node, int most_recomputed);
  void push(Rank rank, Node node);
  bool hopeless(const Rank& rank) const;
  bool close_enough(const Rank& rank) const;
  void simulate();
  void certify();
  void tell() const;
  void look_for_nearest(Plan& plan);

  const Task task_;
  const SearchOptions& options_;
  StrategySpace space_;
  Bounds bounds_;
  LeafRunner runner_;
  std::vector<std::unique_ptr<Entry>> open_;  ///< a heap, the best on top
  std::vector<Node> batch_;
  std::int64_t made_ = 0;
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

void Search::push(Rank rank, Node node) {
  if (hopeless(rank)) {
    certificate_.bounded_out += node.count;
    return;
  }
  if (options_.exhaustive) rank = {};
  const int depth = static_cast<int>(node.level);
  open_.push_back(std::make_unique<Entry>(Entry{rank, depth, made_++, std::move(node)}));
  std::push_heap(open_.begin(), open_.end(), Behind{});
}

void Search::plant() {
  for (const Sizes& layout : space_.layouts()) {
    for (const Share& share : space_.shares(layout)) {
      Node node{.level = Level::share,
                .sizes = layout,
                .share = share,
                .units = &bounds_.units(layout, share),
                .facts = &bounds_.facts(layout),
                .count = 0};
      Duration least = Duration::max();
      for (Sizes sizes = layout; sizes.pp > 0; --sizes.pp) {
        least = std::min(least, bounds_.of(sizes, share, *node.units));
        node.count += space_.count(sizes, share);
      }
      certificate_.strategies += node.count;
      push({least, layout.tp * layout.cp * layout.dp}, std::move(node));
    }
  }
  plant_scattered();
}

void Search::plant_scattered() {
  for (const int dp : space_.scattered()) {
    const Sizes sizes{.dp = dp};
    const Share share{.micro_batch = task_.global_batch / dp, .micro_batches = 1};
    const UnitSums& units = bounds_.units(sizes, share);
    ++certificate_.strategies;
    const std::int64_t parameters = units.dense.back() + units.expert.back();
    const Bytes state = parameters * (2 * element_size(task_.precision) +
                                      Bytes{4 * state_tensors(task_.optimizer)});
    if (state > task_.cluster.device(DeviceId{0}).memory && !options_.exhaustive) {
      ++certificate_.out_of_memory;
      continue;
    }
    // The last unit holds the loss, which one device computes.
    const WeightSums& whole = units.least[0].whole;
    push({Duration{whole[whole.size() - 2]}, dp},
         {.level = Level::scattered, .sizes = sizes, .share = share});
  }
}

void Search::expand(const Node& node) {
  switch (node.level) {
    case Level::share:
      return add_stages(node);
    case Level::stages:
      return add_courses(node);
    case Level::course:
      return add_keepings(node);
    case Level::keeping:
      return add_leaves(node);
    case Level::leaf:
    case Level::scattered:
      batch_.push_back(node);
  }
}

void Search::add_stages(Node node) {
  node.level = Level::stages;
  for (int pp = node.sizes.pp; pp > 0; --pp) {
    node.sizes.pp = pp;
    node.count = space_.count(node.sizes, node.share);
    push({bounds_.of(node.sizes, node.share, *node.units), node.sizes.devices()}, node);
  }
}

void Search::add_courses(Node node) {
  node.level = Level::course;
  for (const Course& course : space_.courses(node.sizes, node.share)) {
    node.course = course;
    node.count = space_.count(node.sizes, course);
    const Duration bound = bounds_.of(node.sizes, node.share, course, *node.units, *node.facts);
    push({bound, node.sizes.devices()}, node);
  }
}

void Search::add_keepings(Node node) {
  node.level = Level::keeping;
  const int devices = node.sizes.devices();
  node.count = space_.count(node.sizes.pp * node.course.vpp, node.course.again);
  for (const Keeping& keeping : space_.keepings(node.sizes)) {
    node.keeping = keeping;
    const Bound bound =
        bounds_.of(node.sizes, node.share, node.course, keeping, *node.units, *node.facts);
    if (bound.over > Bytes{} && !options_.exhaustive) {
      certificate_.out_of_memory += node.count;
    } else {
      push({bound.time, devices}, node);
    }
  }
}

void Search::add_leaves(Node node) {
  node.level = Level::leaf;
  node.count = 1;
  const int parts = node.sizes.pp * node.course.vpp;
  const bool some = node.course.again == Again::some;
  const int most = some ? space_.most_recomputed(parts) : 0;
  const std::vector<Borders> partitions =
      bounds_.partitions(node.sizes, node.share, node.course, node.keeping, *node.units);
  for (auto at = partitions.begin(); at != partitions.end(); ++at) {
    const bool twin = std::find(partitions.begin(), at, *at) != at;
    if (twin && !options_.exhaustive) {
      certificate_.bounded_out += some ? most : 1;
      continue;
    }
    node.borders = std::make_shared<const Borders>(*at);
    add_partition(node, most);
  }
}

void Search::add_partition(Node node, int most_recomputed) {
  const int devices = node.sizes.devices();
  for (int n = most_recomputed > 0 ? 1 : 0; n <= most_recomputed; ++n) {
    node.recomputed = n;
    const Bound bound = bounds_.of(node.sizes, node.share, node.course, node.keeping,
                                   {*node.borders, n}, *node.units, *node.facts);
    if (bound.over > Bytes{} && !options_.exhaustive) {
      ++certificate_.out_of_memory;
    } else {
      push({bound.time, devices}, node);
    }
  }
}

void Search::simulate() {
  std::vector<LeafJob> jobs;
  for (const Node& node : batch_) {
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
    const bool done = open_.empty() || close_enough(open_.front()->rank);
    if (batch_.size() == kBatch || (done && !batch_.empty())) {
      simulate();
      if (options_.stop && options_.stop()) return;
      continue;
    }
    if (done) return;
    std::pop_heap(open_.begin(), open_.end(), Behind{});
    const std::unique_ptr<Entry> entry = std::move(open_.back());
    open_.pop_back();
    expand(entry->node);
  }
}

void Search::certify() {
  Certificate& c = certificate_;
  const bool left = !open_.empty();
  const Duration least = left ? open_.front()->rank.bound : Duration::max();
  const bool proven = left && hopeless(open_.front()->rank);
  for (const auto& entry : open_) (proven ? c.bounded_out : c.open) += entry->node.count;
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
    look_for_nearest(plan);
    return plan;
  }
  plan.best = runner_.estimate(ranked.front().job);
  ranked.erase(ranked.begin());
  if (ranked.size() > options_.top) ranked.resize(options_.top);
  for (const Found& other : ranked) plan.alternatives.push_back(runner_.estimate(other.job));
  return plan;
}

/// Of what keeps least, the smallest micro-batch under 1F1B, what is over by least.
void Search::look_for_nearest(Plan& plan) {
  std::optional<Node> nearest;
  Bytes least{std::numeric_limits<std::int64_t>::max()};
  const auto look = [&](Node node) {
    for (const Borders& borders :
         bounds_.partitions(node.sizes, node.share, node.course, node.keeping, *node.units)) {
      const Bytes over = bounds_.over(node.sizes, node.share, node.course, node.keeping,
                                      {borders, 0}, *node.units, *node.facts);
      if (over >= least) continue;
      least = over;
      nearest = node;
      nearest->borders = std::make_shared<const Borders>(borders);
    }
  };
  for (Sizes sizes : space_.layouts()) {
    const std::int64_t smallest = space_.shares(sizes).front().micro_batch;
    for (; sizes.pp > 0; --sizes.pp) {
      for (const Share& share : space_.shares(sizes)) {
        if (share.micro_batch != smallest) continue;
        for (const Again again : {Again::none, Again::all}) {
          for (const Keeping& keeping : space_.keepings(sizes)) {
            look({.level = Level::leaf,
                  .sizes = sizes,
                  .share = share,
                  .course = {Schedule::one_f_one_b, 1, again},
                  .keeping = keeping,
                  .units = &bounds_.units(sizes, share),
                  .facts = &bounds_.facts(sizes)});
          }
        }
      }
    }
  }
  if (nearest) {
    plan.alternatives.push_back(runner_.estimate(
        {.strategy = strategy_of(space_.chain(), *nearest), .units = nearest->units->table}));
  }
}

}  // namespace

Plan best_first(const Task& task, const SearchOptions& options, int devices) {
  return Search(task, options, devices).run();
}

}  // namespace foreplan
