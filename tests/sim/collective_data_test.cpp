// What the copies and adds of a collective do to real numbers, in every order that a graph allows.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "sim/collective.hpp"

namespace foreplan {
namespace {

/// A collective with real data: every rank's buffer is first filled by a task, then given to it,
/// looked at as soon as `done` allows, and overwritten as soon as `released` allows.
struct Scene {
  TaskGraph graph;
  std::vector<TaskId> fill, look, spoil;
  std::vector<BufferId> data;
};

struct Case {
  CollectiveKind kind{};
  int ranks = 0;
  std::int64_t elements = 0;
  StreamId stream = kCollectiveStream;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
  int per_node = 0;
  CollectiveTuning tuning{};
};

Scene scene(const Case& c) {
  TaskGraphBuilder builder(c.ranks);
  Scene result;
  const OpId op = builder.add_op({.key = {.op = "test", .shape = {1}}, .flops = {}, .traffic = {}});
  CollectiveSpec spec{.kind = c.kind,
                      .algorithm = c.algorithm,
                      .bytes = {4 * c.elements},
                      .stream = c.stream,
                      .ranks_per_node = c.per_node,
                      .tuning = c.tuning};
  for (int i = 0; i < c.ranks; ++i) spec.group.push_back(DeviceId{i});
  for (const DeviceId device : spec.group) {
    // An offset, so that a range counted from the wrong place does not go unseen.
    const BufferId buffer =
        builder.add_buffer({.device = device, .bytes = spec.bytes + 8_B, .persistent = true});
    const BufferRange range{buffer, 8_B, spec.bytes};
    result.data.push_back(buffer);
    result.fill.push_back(builder.add({.device = device, .op = op, .writes = {range}}));
    spec.after.push_back({result.fill.back()});
    spec.data.push_back(range);
  }
  const CollectiveTasks ring = expand_collective(builder, spec);
  for (std::size_t rank = 0; rank < spec.group.size(); ++rank) {
    const DeviceId device = spec.group[rank];
    TaskSpec look{.device = device, .op = op, .after = ring.done[rank], .reads = {spec.data[rank]}};
    result.look.push_back(builder.add(look));
    TaskSpec spoil{.device = device, .stream = kNoStream, .op = op, .after = ring.released[rank]};
    spoil.after.push_back(result.look.back());
    spoil.writes = {spec.data[rank]};
    result.spoil.push_back(builder.add(spoil));
  }
  result.graph = std::move(builder).build();
  return result;
}

/// Everything a task waits for: `after`, and the task before it in its stream.
std::vector<std::vector<std::size_t>> predecessors(const TaskGraph& graph) {
  std::vector<std::vector<std::size_t>> result(graph.size());
  std::map<std::pair<DeviceId, StreamId>, std::size_t> before;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    for (const TaskId task : graph.after[i]) result[i].push_back(index(task));
    if (graph.stream[i] == kNoStream) continue;
    const auto key = std::pair{graph.device[i], graph.stream[i]};
    if (const auto found = before.find(key); found != before.end()) {
      result[i].push_back(found->second);
    }
    before[key] = i;
  }
  return result;
}

/// Runs copies and adds on real numbers. What was never written, or freed, is NaN.
class Interpreter {
 public:
  explicit Interpreter(const Scene& made, const Case& what) : scene_(made), case_(what) {
    for (const Buffer& buffer : made.graph.buffers) {
      memory_.emplace_back(static_cast<std::size_t>(buffer.bytes.count / 4), kNan);
    }
  }

  void run(std::size_t task) {
    const TaskGraph& graph = scene_.graph;
    for (const BufferId buffer : graph.allocates[task]) wipe(buffer);
    const TaskId id{static_cast<std::int32_t>(task)};
    if (const auto rank = place(scene_.fill, id)) {
      for (std::int64_t e = 0; e < case_.elements; ++e)
        range(graph.writes[task][0])[e] = at(*rank, e);
    } else if (const auto looker = place(scene_.look, id)) {
      check(*looker);
    } else if (const auto spoiler = place(scene_.spoil, id)) {
      wipe(scene_.data[static_cast<std::size_t>(*spoiler)]);
    } else {
      move(task);
    }
    for (const BufferId buffer : graph.frees[task]) wipe(buffer);
  }

 private:
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  /// What rank `rank` puts in; small whole numbers add exactly.
  static float at(int rank, std::int64_t element) {
    return static_cast<float>((rank + 1) * 100 + element);
  }
  static std::optional<int> place(const std::vector<TaskId>& tasks, TaskId task) {
    const auto found = std::find(tasks.begin(), tasks.end(), task);
    if (found == tasks.end()) return {};
    return static_cast<int>(found - tasks.begin());
  }
  float* range(const BufferRange& r) {
    return &memory_[index(r.buffer)][static_cast<std::size_t>(r.offset.count / 4)];
  }
  void wipe(BufferId buffer) {
    std::fill(memory_[index(buffer)].begin(), memory_[index(buffer)].end(), kNan);
  }

  void move(std::size_t task) {
    const BufferRange from = scene_.graph.reads[task][0];
    const BufferRange to = scene_.graph.writes[task][0];
    ASSERT_EQ(from.bytes, to.bytes);
    const bool copies = scene_.graph.kind[task] == TaskKind::transfer;
    for (std::int64_t e = 0; e < from.bytes.count / 4; ++e) {
      range(to)[e] = copies ? range(from)[e] : range(to)[e] + range(from)[e];
    }
  }

  /// What `rank` must find at `element`; NaN where it may be anything.
  float expected(int rank, std::int64_t element) const {
    const int owner = owner_of(element);
    switch (case_.kind) {
      case CollectiveKind::all_gather:
        return at(owner, element);
      case CollectiveKind::gather:
        return rank == 0 ? at(owner, element) : kNan;
      case CollectiveKind::broadcast:
        return at(0, element);
      case CollectiveKind::scatter:
        return owner == rank ? at(0, element) : kNan;
      case CollectiveKind::reduce:
        if (rank != 0) return kNan;
        break;
      case CollectiveKind::reduce_scatter:
        if (rank != owner) return kNan;
        break;
      default:
        break;
    }
    float sum = 0;
    for (int i = 0; i < case_.ranks; ++i) sum += at(i, element);
    return sum;
  }
  int owner_of(std::int64_t element) const {
    int owner = 0;
    while (element >= ring_chunk(case_.elements, case_.ranks, owner).first +
                          ring_chunk(case_.elements, case_.ranks, owner).count) {
      ++owner;
    }
    return owner;
  }

  void check(int rank) {
    const float* found = &memory_[index(scene_.data[static_cast<std::size_t>(rank)])][2];
    for (std::int64_t e = 0; e < case_.elements; ++e) {
      const float wanted = expected(rank, e);
      if (wanted == wanted) {
        EXPECT_EQ(found[e], wanted) << "rank " << rank << ", element " << e;
      }
    }
  }

  const Scene& scene_;
  const Case& case_;
  std::vector<std::vector<float>> memory_;
};

/// Runs the scene, always taking the ready task that `prefer` likes best.
void run_in_order(const Scene& made, const Case& what,
                  const std::function<std::int64_t(std::size_t)>& prefer) {
  const auto wait = predecessors(made.graph);
  Interpreter interpreter(made, what);
  std::vector<bool> done(made.graph.size());
  for (std::size_t step = 0; step < made.graph.size(); ++step) {
    std::optional<std::size_t> best;
    for (std::size_t task = 0; task < made.graph.size(); ++task) {
      const bool ready = !done[task] && std::all_of(wait[task].begin(), wait[task].end(),
                                                    [&](std::size_t p) { return done[p]; });
      if (ready && (!best || prefer(task) > prefer(*best))) best = task;
    }
    ASSERT_TRUE(best);
    interpreter.run(*best);
    done[*best] = true;
  }
}

/// Every kind of every algorithm that does not refuse, on every grid of `ranks`.
void add_cases(std::vector<Case>& result, int ranks, const CollectiveTuning& tuning) {
  for (int k = 0; k < kCollectiveKinds; ++k) {
    const auto kind = static_cast<CollectiveKind>(k);
    if (kind == CollectiveKind::all_to_all) continue;  // has no data
    for (int a = 0; a < kCollectiveAlgorithms; ++a) {
      const auto algorithm = static_cast<CollectiveAlgorithm>(a);
      for (int per_node = 1; per_node <= ranks; ++per_node) {
        if (ranks % per_node != 0) continue;
        if (collective_refusal(kind, algorithm, {per_node, ranks / per_node}, tuning)) continue;
        // Nothing, fewer elements than ranks, a number that n does not divide, a multiple.
        for (const std::int64_t elements : {0, 1, 7, 24}) {
          for (const StreamId stream : {kCollectiveStream, kNoStream}) {
            result.push_back({kind, ranks, elements, stream, algorithm, per_node, tuning});
          }
        }
      }
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> result;
  for (int ranks = 1; ranks <= 8; ++ranks) {
    add_cases(result, ranks, {});
    add_cases(result, ranks, {.chunks = 3, .across = CollectiveAlgorithm::double_tree});
  }
  for (const auto across :
       {CollectiveAlgorithm::direct, CollectiveAlgorithm::tree,
        CollectiveAlgorithm::recursive_doubling, CollectiveAlgorithm::halving_doubling}) {
    add_cases(result, 6, {.across = across});
  }
  add_cases(result, 6, {.channels = 2});
  add_cases(result, 8, {.channels = 4});
  return result;
}

std::string described(const Case& c) {
  return std::string(name(c.algorithm)) + " " + std::string(name(c.kind)) + " of " +
         std::to_string(c.elements) + " elements on " + std::to_string(c.ranks) + ", " +
         std::to_string(c.per_node) + " a node" + (c.stream == kNoStream ? ", no stream" : "");
}

TEST(ExpandCollective, GivesTheRightNumbersInEveryOrderTried) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(described(c));
    const Scene made = scene(c);
    const auto id = [](std::size_t task) { return static_cast<std::int64_t>(task); };
    const auto device = [&](std::size_t task) {
      return static_cast<std::int64_t>(made.graph.device[task]);
    };
    run_in_order(made, c, [&](std::size_t task) { return id(task); });
    run_in_order(made, c, [&](std::size_t task) { return -id(task); });
    run_in_order(made, c, [&](std::size_t task) { return device(task); });
    run_in_order(made, c, [&](std::size_t task) { return -device(task); });
    std::mt19937_64 random(11);
    for (int i = 0; i < 5; ++i) {
      std::vector<std::int64_t> liking(made.graph.size());
      for (auto& value : liking) value = static_cast<std::int64_t>(random() >> 1U);
      run_in_order(made, c, [&](std::size_t task) { return liking[task]; });
    }
  }
}

/// before[a][b]: a is done before b starts, in every legal order.
std::vector<std::vector<bool>> ordered(const TaskGraph& graph) {
  const auto wait = predecessors(graph);
  std::vector before(graph.size(), std::vector<bool>(graph.size()));
  for (const TaskId task : graph.order) {
    const std::size_t b = index(task);
    for (const std::size_t p : wait[b]) {
      before[p][b] = true;
      for (std::size_t a = 0; a < graph.size(); ++a) {
        if (before[a][p]) before[a][b] = true;
      }
    }
  }
  return before;
}

bool overlap(std::span<const BufferRange> some, std::span<const BufferRange> others) {
  for (const BufferRange& a : some) {
    for (const BufferRange& b : others) {
      if (a.buffer == b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) {
        return true;
      }
    }
  }
  return false;
}

// Two tasks that touch the same bytes, one of them writing, are ordered by dependencies and
// streams alone: no order, however odd, can give other numbers than the orders tried above.
TEST(ExpandCollective, OrdersEveryPairOfTasksThatTouchTheSameBytes) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(described(c));
    const TaskGraph graph = scene(c).graph;
    const auto before = ordered(graph);
    for (std::size_t a = 0; a < graph.size(); ++a) {
      for (std::size_t b = a + 1; b < graph.size(); ++b) {
        const bool conflict = overlap(graph.writes[a], graph.writes[b]) ||
                              overlap(graph.reads[a], graph.writes[b]) ||
                              overlap(graph.writes[a], graph.reads[b]);
        EXPECT_TRUE(!conflict || before[a][b] || before[b][a])
            << task_name(graph, TaskId{static_cast<std::int32_t>(a)}) << " and "
            << task_name(graph, TaskId{static_cast<std::int32_t>(b)});
      }
    }
  }
}

}  // namespace
}  // namespace foreplan
