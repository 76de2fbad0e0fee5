#include "tests/properties/random_search.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

#include "models/model_io.hpp"
#include "planner/bound_keeping.hpp"
#include "planner/bound_step.hpp"
#include "planner/folded_step.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "tests/models/encoder_decoder.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"
#include "tests/properties/dice.hpp"

namespace foreplan {
namespace {

std::string small_cluster(Dice& dice) {
  const auto node = [&](const char* device) {
    return fmt::format(
        R"({{"count": {}, "device": "{}", "devices_per_node": {},
             "intra": {{"bandwidth_bytes_per_s": {}e11, "latency_s": {}e-7}}, "nics_per_node": 1,
             "nic": {{"bandwidth_bytes_per_s": {}e9, "latency_s": {}e-6}}}})",
        1 + dice.below(2), device, dice.one_of({1, 2, 2, 3, 4}), 1 + dice.below(4), dice.below(30),
        1 + dice.below(30), dice.below(4));
  };
  const std::string second =
      dice.once_in(2) ? ", " + node(dice.one_of({"rtx-4090", "v100-sxm2-16gb", "a100-sxm-80gb"}))
                      : "";
  return fmt::format(
      R"({{"schema": "foreplan.cluster/1", "name": "small", "nodes": [{}{}],
           "fabric": {{"oversubscription": 1, "latency_s": 1e-6}}}})",
      node("a100-sxm-80gb"), second);
}

std::vector<Cluster> small_clusters(const std::filesystem::path& data) {
  constexpr std::uint64_t kClusters = 300;
  std::vector<Cluster> clusters;
  const auto file = std::filesystem::temp_directory_path() /
                    fmt::format("foreplan_small_cluster_{}.json", ::getpid());
  for (std::uint64_t i = 0; i < kClusters; ++i) {
    Dice dice(i);
    const std::int64_t memory = dice.one_of(
        {std::int64_t{1} << 40, (40 + dice.below(400)) << 10, (40 + dice.below(4000)) << 10});
    const bool host = dice.once_in(3);
    const DeviceLookup lookup = [&](const std::string& name) {
      DeviceSpec device = read_device(data / "devices" / (name + ".json"));
      device.memory = Bytes{memory};
      if (!host) device.host_bandwidth = {};
      // So small networks do not drown in launches.
      device.launch_overhead = device.launch_overhead / 100;
      return device;
    };
    std::ofstream(file) << small_cluster(dice);
    clusters.push_back(read_cluster(file, lookup));
  }
  std::filesystem::remove(file);
  return clusters;
}

std::string differing(const Plan& found, const Plan& all) {
  if (found.best.has_value() != all.best.has_value()) return "one finds a plan, the other none";
  const auto total = [](const Certificate& c) {
    return c.simulated + c.out_of_memory + c.bounded_out + c.open;
  };
  for (const Certificate* c : {&found.certificate, &all.certificate}) {
    if (total(*c) != c->strategies) return "the certificate does not add up";
    if (c->gap != 0 || c->open != 0) return "not proven";
  }
  if (found.certificate.strategies != all.certificate.strategies) return "other spaces";
  if (!found.best) return {};
  if (found.best->step_time != all.best->step_time) {
    return fmt::format("{} takes {} ps, {} of all {} ps", format(found.best->strategy),
                       found.best->step_time.count(), format(all.best->strategy),
                       all.best->step_time.count());
  }
  if (found.best->strategy != all.best->strategy) {
    return fmt::format("{} and {} are as fast", format(found.best->strategy),
                       format(all.best->strategy));
  }
  return {};
}

/// One random way down a space.
class Walk {
 public:
  Walk(Dice& dice, const Task& task, StrategySpace& space, Bounds& bounds)
      : dice_(dice), task_(task), space_(space), bounds_(bounds) {}

  BoundVerdict go() {
    choose();
    Sizes any_order = sizes_;
    any_order.order.reset();
    const Duration wherever = bounds_.of(any_order, share_, bounds_.totals(any_order, share_));
    const UnitSums& units = bounds_.units(sizes_, share_);
    LayoutFacts& facts = bounds_.facts(sizes_);
    StepBound step(bounds_, {sizes_, share_, course_, borders_, recomputed_, units, facts});
    LayoutFacts& least = bounds_.facts(sizes_, orders_);
    StepBound open(bounds_, {sizes_, share_, course_, borders_, recomputed_, units, least});
    KeepingBounds kept(bounds_, sizes_, share_, units, least);
    const bool may_fit = kept.holding() >> keeping_at_ & 1 && kept.fitting(course_, kept_) != 0 &&
                         step.over(keeping_) <= Bytes{};
    const FoldedStep exact(task_, strategy(),
                           {.chain = space_.shared_chain(), .units = units.table, .pipeline = {}});
    BoundVerdict verdict{.fits = exact.feasible()};
    if (exact.feasible() && !may_fit) verdict.violation = "it fits, a bound says no";
    const Duration time = exact.estimate(task_.costs).step_time;
    const Duration leaf = step.time(keeping_);
    verdict.tightness = seconds(leaf) / seconds(time);
    const std::pair<const char*, Duration> ways[] = {
        {"stages", wherever},
        {"order", bounds_.of(sizes_, share_, units.totals[0])},
        {"order kept so", kept.of(kept_)},
        {"course", bounds_.of(sizes_, share_, course_, units, least)},
        {"course kept so", kept.of(course_, kept_)},
        {"partition", open.least()},
        {"leaf of any order", open.time(keeping_)},
        {"leaf", leaf}};
    for (const auto& [what, bound] : ways) {
      if (bound <= time) continue;
      verdict.violation +=
          fmt::format("{}: bound {} ps, step {} ps; ", what, bound.count(), time.count());
    }
    if (!verdict.violation.empty()) verdict.violation += format(strategy());
    return verdict;
  }

 private:
  template <typename T>
  const T& any(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(dice_.below(std::ssize(from)))];
  }

  void choose() {
    sizes_ = any(space_.layouts());
    const int fewest = space_.fewest_stages(sizes_);
    sizes_.pp = static_cast<int>(fewest + dice_.below(sizes_.pp - fewest + 1));
    orders_ = any(space_.orders(sizes_).sets);
    sizes_.order = any(orders_);
    share_ = any(space_.shares(sizes_));
    course_ = any(space_.courses(sizes_, share_));
    const std::vector<Keeping>& keepings = space_.keepings(sizes_, share_);
    keeping_at_ = static_cast<std::size_t>(dice_.below(std::ssize(keepings)));
    keeping_ = keepings[keeping_at_];
    kept_ = Keepings{1} << keeping_at_;
    borders_ = any(bounds_.partitions(sizes_, share_, course_));
    const int parts = sizes_.pp * course_.vpp;
    const bool some = course_.again == Again::some;
    recomputed_ = some ? static_cast<int>(1 + dice_.below(space_.most_recomputed(parts))) : 0;
  }

  Strategy strategy() const {
    Strategy s{.dp = sizes_.dp,
               .tp = sizes_.tp,
               .pp = sizes_.pp,
               .vpp = course_.vpp,
               .cp = sizes_.cp,
               .ep = sizes_.ep,
               .order = *sizes_.order};
    s.micro_batch = share_.micro_batch;
    s.zero = keeping_.zero;
    s.sp = share_.sp;
    s.recompute = recompute_of(course_.again);
    if (course_.again == Again::some) s.recompute_layers = recomputed_;
    s.offload = keeping_.offload;
    s.schedule = course_.schedule;
    s.layers = layers_of(space_.chain(), borders_);
    return s;
  }

  Dice& dice_;
  const Task& task_;
  StrategySpace& space_;
  Bounds& bounds_;
  Sizes sizes_;
  OrderSet orders_;
  Share share_;
  Course course_;
  Keeping keeping_;
  std::size_t keeping_at_ = 0;
  Keepings kept_ = 0;
  Borders borders_;
  int recomputed_ = 0;
};

/// A strategy beside the tree.
BoundVerdict judge_apart(const Task& task, Bounds& bounds, const Strategy& strategy) {
  const Estimate exact = estimate(task, strategy);
  const Duration bound = bounds.of(strategy);
  BoundVerdict verdict{.fits = exact.feasible,
                       .tightness = seconds(bound) / seconds(exact.step_time)};
  if (bound > exact.step_time) {
    verdict.violation = fmt::format("apart: bound {} ps, step {} ps; {}", bound.count(),
                                    exact.step_time.count(), format(strategy));
  }
  return verdict;
}

}  // namespace

SmallTasks::SmallTasks(const std::filesystem::path& data) : clusters_(small_clusters(data)) {
  for (const std::int64_t layers : {2, 3, 4}) {
    models_.push_back(
        hand_made_gpt({.layers = layers, .h = 16, .a = 2, .vocabulary = 50, .positions = 8}));
  }
  models_.push_back(hand_made_gpt({.layers = 3, .h = 30, .a = 3, .vocabulary = 600}));
  models_.push_back(small_encoder_decoder({}));
  models_.push_back(mlp({640, 128, 16, 256}));
  models_.push_back(mlp({96, 7, 96, 5}));
  models_.push_back(mlp({32, 32, 32, 32, 32}));
  models_.push_back(residual(24));
  models_.push_back(every_kind(12));
}

Task SmallTasks::draw(std::uint64_t number) const {
  Dice dice(number);
  const auto any = [&](const auto& from) -> const auto& {
    return from[static_cast<std::size_t>(dice.below(std::ssize(from)))];
  };
  Task task{.model = any(models_), .cluster = any(clusters_), .costs = costs_};
  task.global_batch = dice.one_of({1, 2, 2, 3, 4, 6});
  task.optimizer = dice.one_of({Optimizer::sgd, Optimizer::adam});
  task.lengths.source = task.lengths.target = dice.one_of({2, 4, 6, 8});
  // Not in fp32: what could run would be lowered.
  task.precision = DType::fp16;
  Stack& stack = task.stack;
  for (bool Stack::*flag :
       {&Stack::fused_attention, &Stack::overlap_gradients, &Stack::overlap_parameters,
        &Stack::overlap_tensor, &Stack::prefetch_parameters, &Stack::clip_gradients,
        &Stack::scatter_activations, &Stack::master_weights}) {
    if (dice.once_in(4)) stack.*flag = !(stack.*flag);
  }
  stack.gradient_bytes = dice.one_of({2, 4});
  stack.first_bucket = dice.one_of({256_B, 4_KiB, 1_MiB});
  stack.bucket = dice.one_of({1_KiB, 64_KiB, 25_MiB});
  return task;
}

SearchVerdict judge_search(const Task& task) {
  SearchVerdict verdict;
  const Task folded = folded_task(task);
  const StrategySpace space(folded, std::make_shared<const UnitChain>(unit_chain(task.model)),
                            task.cluster.devices());
  verdict.strategies = space.count();
  if (verdict.strategies > kMostSimulated) return verdict;
  const Plan found = plan(task, {});
  const Plan all = plan(task, {.exhaustive = true});
  verdict.fits = found.best.has_value();
  verdict.violation = differing(found, all);
  for (const Sizes& sizes : space.layouts()) {
    verdict.ordered = verdict.ordered || space.orders(sizes).orders > 1;
  }
  verdict.unusual = found.best && found.best->strategy.order != RankOrder{};
  if (found.certificate.strategies != verdict.strategies) verdict.violation += "; miscounted";
  return verdict;
}

std::vector<BoundVerdict> judge_bounds(const StepSource& source, std::uint64_t number, int walks) {
  const RandomStep step = source.draw(number);
  const Task task = folded_task(step.task);
  std::vector<BoundVerdict> verdicts;
  try {
    StrategySpace space(task, std::make_shared<const UnitChain>(unit_chain(task.model)),
                        task.cluster.devices());
    Bounds bounds(task, space);
    Dice dice(number);
    for (int i = 0; i < walks; ++i) {
      verdicts.push_back(Walk(dice, task, space, bounds).go());
    }
    const std::vector<Strategy>& apart = space.apart();
    for (int i = 0; i < walks / 10 && !apart.empty(); ++i) {
      const auto any = static_cast<std::size_t>(dice.below(std::ssize(apart)));
      verdicts.push_back(judge_apart(task, bounds, apart[any]));
    }
  } catch (const Error& error) {
    // A task that nobody can plan: no such slow device, no peak at the precision.
    if (error.code() != ErrorCode::invalid_argument) throw;
  }
  return verdicts;
}

std::string describe(const Task& task) {
  return fmt::format("{} on {} devices of {} kinds with {} B, batch {}, {}", task.model.name(),
                     task.cluster.devices(), task.cluster.specs().size(),
                     task.cluster.specs().front().memory.count, task.global_batch,
                     name(task.precision));
}

}  // namespace foreplan
