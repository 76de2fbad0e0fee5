#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <ostream>
#include <string>
#include <utility>

#include "planner/lowering.hpp"
#include "planner/rank_layout.hpp"
#include "tests/planner/graph_facts.hpp"
#include "tests/planner/happens_before.hpp"
#include "tests/planner/models.hpp"

// Whatever the strategy: who touches a buffer when, and what of the model lies where.

namespace foreplan {
namespace {

using ::testing::Each;

constexpr std::int64_t kBatch = 24;

struct Case {
  std::string strategy;
  bool concurrent = true;
};

std::string to_string(const Case& c) {
  std::string name = c.strategy.empty() ? "one" : c.strategy;
  std::replace_if(
      name.begin(), name.end(), [](char at) { return std::isalnum(at) == 0; }, '_');
  return name + (c.concurrent ? "_concurrent" : "_serial");
}
void PrintTo(const Case& c, std::ostream* out) { *out << to_string(c); }

/// Strategies for every_kind(24), each with and without streams beside compute.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* strategy :
       {"", "micro_batch=8", "dp=2", "dp=3,micro_batch=4", "tp=2", "tp=3,micro_batch=12",
        "pp=2,layers=3+7,micro_batch=6", "pp=2,layers=8+2,micro_batch=6,schedule=gpipe",
        "pp=4,layers=3+5+1+1,micro_batch=8", "dp=2,tp=2,micro_batch=6", "dp=2,pp=2,layers=8+2",
        "tp=2,pp=2,layers=3+7,micro_batch=12,schedule=gpipe",
        "dp=2,tp=2,pp=2,layers=8+2,micro_batch=6", "pp=2,layers=3+7,micro_batch=4,schedule=zb-h1",
        "dp=2,tp=2,pp=2,layers=3+7,micro_batch=3,schedule=zb-h2",
        "pp=2,vpp=2,layers=3+5+1+1,micro_batch=6",
        "tp=2,pp=2,layers=3+5+1+1,micro_batch=3,schedule=zb-v",
        "dp=2,pp=2,layers=3+5+1+1,micro_batch=3,schedule=zb-v",
        "dp=2,tp=2,pp=2,order=pp-dp-cp-tp,layers=8+2,micro_batch=6"}) {
    all.push_back({strategy, true});
    all.push_back({strategy, false});
  }
  return all;
}

LoweringOptions options_of(const Case& c) {
  // Small buckets, so that there are several.
  return {.concurrent_streams = c.concurrent,
          .buckets = {.first = Bytes{500}, .others = Bytes{4000}}};
}

class Lowering : public testing::TestWithParam<Case> {
 protected:
  OpGraph model = every_kind(24);
  Strategy strategy = parse_strategy(GetParam().strategy);
  TaskGraph graph = lower(model, strategy, kBatch, options_of(GetParam()));
};

INSTANTIATE_TEST_SUITE_P(Strategies, Lowering, testing::ValuesIn(cases()),
                         [](const auto& tested) { return to_string(tested.param); });

TEST_P(Lowering, AllocatesAndFreesEveryBufferThatDoesNotPersistOnce) {
  std::vector<int> allocated(graph.buffers.size(), 0), freed(graph.buffers.size(), 0);
  for (const BufferId buffer : graph.allocates.items) ++allocated[index(buffer)];
  for (const BufferId buffer : graph.frees.items) ++freed[index(buffer)];
  for (std::size_t i = 0; i < graph.buffers.size(); ++i) {
    const int times = graph.buffers[i].persistent ? 0 : 1;
    EXPECT_EQ(allocated[i], times) << "buffer " << i;
    EXPECT_EQ(freed[i], times) << "buffer " << i;
  }
}

/// A task that reads or writes part of a buffer.
struct Access {
  TaskId task{};
  BufferRange range;
  bool write = false;
};

std::vector<std::vector<Access>> accesses_by_buffer(const TaskGraph& graph) {
  std::vector<std::vector<Access>> accesses(graph.buffers.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const TaskId task{static_cast<std::int32_t>(i)};
    for (const BufferRange& range : graph.reads[i]) {
      accesses[index(range.buffer)].push_back({task, range, false});
    }
    for (const BufferRange& range : graph.writes[i]) {
      accesses[index(range.buffer)].push_back({task, range, true});
    }
  }
  return accesses;
}

bool overlap(const BufferRange& a, const BufferRange& b) {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

// Two tasks that touch the same bytes, one of them writing, have an order.
TEST_P(Lowering, HasNoRaces) {
  const HappensBefore before(graph);
  for (const std::vector<Access>& accesses : accesses_by_buffer(graph)) {
    for (const Access& a : accesses) {
      for (const Access& b : accesses) {
        const bool conflict = a.task < b.task && (a.write || b.write) && overlap(a.range, b.range);
        if (!conflict || before(a.task, b.task) || before(b.task, a.task)) continue;
        ADD_FAILURE() << task_name(graph, a.task) << " and " << task_name(graph, b.task);
      }
    }
  }
}

TEST_P(Lowering, TouchesBuffersOnlyWhileTheyLive) {
  const HappensBefore before(graph);
  const auto accesses = accesses_by_buffer(graph);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const TaskId task{static_cast<std::int32_t>(i)};
    for (const BufferId buffer : graph.allocates[i]) {
      for (const Access& a : accesses[index(buffer)]) {
        EXPECT_TRUE(a.task == task || before(task, a.task)) << task_name(graph, a.task);
      }
    }
    for (const BufferId buffer : graph.frees[i]) {
      for (const Access& a : accesses[index(buffer)]) {
        EXPECT_TRUE(a.task == task || before(a.task, task)) << task_name(graph, a.task);
      }
    }
  }
}

/// For each byte that `read` reads: whether some task has written it before for sure.
std::vector<bool> written_before(const Access& read, const std::vector<Access>& accesses,
                                 const HappensBefore& before) {
  std::vector<bool> written(static_cast<std::size_t>(read.range.bytes.count), false);
  for (const Access& write : accesses) {
    if (!write.write || !before(write.task, read.task)) continue;
    const Bytes from = std::max(write.range.offset, read.range.offset);
    const Bytes to =
        std::min(write.range.offset + write.range.bytes, read.range.offset + read.range.bytes);
    for (Bytes at = from; at < to; at += Bytes{1}) {
      written[static_cast<std::size_t>((at - read.range.offset).count)] = true;
    }
  }
  return written;
}

TEST_P(Lowering, ReadsOnlyWhatHasBeenWrittenUnlessItPersists) {
  const HappensBefore before(graph);
  const auto accesses = accesses_by_buffer(graph);
  for (std::size_t buffer = 0; buffer < accesses.size(); ++buffer) {
    if (graph.buffers[buffer].persistent) continue;
    for (const Access& access : accesses[buffer]) {
      if (access.write) continue;
      EXPECT_THAT(written_before(access, accesses[buffer], before), Each(true))
          << task_name(graph, access.task);
    }
  }
}

TEST_P(Lowering, ReadsAndWritesOnItsOwnDeviceButForWhatItPulls) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    for (const BufferRange& range : graph.reads[i]) {
      EXPECT_EQ(graph.buffers[index(range.buffer)].device, graph.source[i]);
    }
    for (const BufferRange& range : graph.writes[i]) {
      EXPECT_EQ(graph.buffers[index(range.buffer)].device, graph.device[i]);
    }
  }
}

bool same(const BufferRange& a, const BufferRange& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.bytes == b.bytes;
}

/// Where `device` keeps what has this role, in order.
std::vector<Placement> placed(const TaskGraph& graph, DeviceId device, Placement::Role role,
                              std::int32_t tensor = 0) {
  std::vector<Placement> found;
  for (const Placement& p : graph.placements) {
    const bool here = graph.buffers[index(p.range.buffer)].device == device;
    if (here && p.role == role && p.tensor == tensor) found.push_back(p);
  }
  return found;
}

/// One range a parameter that a task of `layer` reads forward and writes by weight: weight and bias,
/// or gain and shift. Where the bias is added apart, matmul has the weight only and bias_add the rest.
std::vector<BufferRange> ranges_of_parameters(const TaskGraph& graph, std::size_t task,
                                              const OpGraph& model, Placement::Role role) {
  std::vector<std::int32_t> tensors = model.parameters_of(LayerId{graph.node[task]});
  const std::string& op = key_of(graph, task).op;
  if (op == "matmul") tensors.resize(1);
  if (op == "bias_add") tensors.erase(tensors.begin());
  std::vector<BufferRange> ranges;
  for (const std::int32_t tensor : tensors) {
    for (const Placement& p : placed(graph, graph.device[task], role, tensor)) {
      ranges.push_back(p.range);
    }
  }
  return ranges;
}

bool learns(const OpKey& key) {
  return key.op == "linear" || key.op == "matmul" || key.op == "bias_add" || key.op == "layer_norm";
}

// Forward reads x and then the parameters; by weight writes their gradients.
TEST_P(Lowering, UsesParametersAndGradientsWhereTheyLie) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i) || !learns(key_of(graph, i))) continue;
    const bool forward = key_of(graph, i).pass == Pass::forward;
    if (!forward && key_of(graph, i).pass != Pass::backward_weight) continue;
    const auto role = forward ? Placement::Role::parameter : Placement::Role::gradient;
    const auto expected = ranges_of_parameters(graph, i, model, role);
    const auto used = forward ? graph.reads[i].subspan(1) : graph.writes[i];
    EXPECT_FALSE(expected.empty());
    EXPECT_TRUE(std::equal(used.begin(), used.end(), expected.begin(), expected.end(), same))
        << task_name(graph, TaskId{static_cast<std::int32_t>(i)});
  }
}

// `left` reads the samples, the loss reads the labels second and writes the loss second. The i-th
// micro-batch has the i-th part of what the device has.
TEST_P(Lowering, TakesSamplesAndLabelsOfItsMicroBatch) {
  const BatchSplit batch = split_batch(strategy, kBatch);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i) || key_of(graph, i).pass != Pass::forward) continue;
    const DeviceId device = graph.device[i];
    const std::int64_t micro_batch = graph.micro_batch[i];
    if (graph.node[i] == 0 && key_of(graph, i).op == "linear") {
      const BufferRange all = placed(graph, device, Placement::Role::input).at(0).range;
      const Bytes part = all.bytes / batch.micro_batches;
      EXPECT_TRUE(
          same(graph.reads[i][0], BufferRange{all.buffer, all.offset + part * micro_batch, part}));
    } else if (key_of(graph, i).op == "softmax_cross_entropy") {
      const BufferRange all = placed(graph, device, Placement::Role::label).at(0).range;
      const Bytes part = all.bytes / batch.micro_batches;
      EXPECT_TRUE(
          same(graph.reads[i][1], BufferRange{all.buffer, all.offset + part * micro_batch, part}));
      const Placement loss =
          placed(graph, device, Placement::Role::loss).at(static_cast<std::size_t>(micro_batch));
      EXPECT_TRUE(same(graph.writes[i][1], loss.range));
      EXPECT_EQ(loss.rows, batch.micro_batch);
    }
  }
}

// Backward of the loss takes the same labels as forward.
TEST_P(Lowering, TakesTheSameLabelsBackward) {
  std::map<std::pair<DeviceId, std::int32_t>, std::vector<BufferRange>> labels;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i) || key_of(graph, i).op != "softmax_cross_entropy") continue;
    labels[{graph.device[i], graph.micro_batch[i]}].push_back(graph.reads[i][1]);
  }
  EXPECT_FALSE(labels.empty());
  for (const auto& [where, ranges] : labels) {
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_TRUE(same(ranges[0], ranges[1]));
  }
}

/// How often each row of the samples of a role lies somewhere.
std::vector<int> rows_placed(const TaskGraph& graph, Placement::Role role) {
  std::vector<int> times(static_cast<std::size_t>(kBatch), 0);
  for (const Placement& placement : graph.placements) {
    if (placement.role != role) continue;
    for (std::int64_t row = placement.row; row < placement.row + placement.rows; ++row) {
      ++times[static_cast<std::size_t>(row)];
    }
  }
  return times;
}

// Every sample lies on one data-parallel rank, there on all tensor-parallel ranks.
TEST_P(Lowering, TilesSamplesLabelsAndLossesOverTheDataParallelRanks) {
  for (const auto role : {Placement::Role::input, Placement::Role::label, Placement::Role::loss}) {
    EXPECT_THAT(rows_placed(graph, role), Each(strategy.tp));
  }
}

TEST_P(Lowering, PlacesSamplesOnTheFirstStageAndLabelsOnTheLast) {
  const RankLayout ranks(strategy);
  // ZB-V comes back to the first stage.
  const int last = strategy.schedule == Schedule::zb_v ? 0 : strategy.pp - 1;
  for (const Placement& placement : graph.placements) {
    const int device = static_cast<int>(graph.buffers[index(placement.range.buffer)].device);
    const std::int64_t d = device / ranks.stride(Dimension::dp) % strategy.dp;
    const int stage = device / ranks.stride(Dimension::pp) % strategy.pp;
    if (placement.role == Placement::Role::input) {
      EXPECT_EQ(stage, 0);
    }
    if (placement.role == Placement::Role::label || placement.role == Placement::Role::loss) {
      EXPECT_EQ(stage, last);
    }
    if (placement.role == Placement::Role::parameter) continue;
    if (placement.role == Placement::Role::gradient) continue;
    EXPECT_GE(placement.row, d * kBatch / strategy.dp);
    EXPECT_LE(placement.row + placement.rows, (d + 1) * kBatch / strategy.dp);
  }
}

/// How often each element of a parameter lies on the devices of data-parallel rank `d`.
std::vector<int> elements_placed(const TaskGraph& graph, const Strategy& strategy,
                                 const Parameter& parameter, const Placement& wanted, int d) {
  std::vector<int> times(static_cast<std::size_t>(parameter.rows * parameter.columns), 0);
  for (const Placement& p : graph.placements) {
    const int device = static_cast<int>(graph.buffers[index(p.range.buffer)].device);
    if (p.role != wanted.role || p.tensor != wanted.tensor) continue;
    if (device / strategy.tp % strategy.dp != d) continue;
    EXPECT_EQ(p.range.bytes, Bytes{4 * p.rows * p.columns});
    for (std::int64_t row = p.row; row < p.row + p.rows; ++row) {
      for (std::int64_t column = p.column; column < p.column + p.columns; ++column) {
        ++times[static_cast<std::size_t>(row * parameter.columns + column)];
      }
    }
  }
  return times;
}

// Cut tensors lie on one rank of tp, the others on all; always on one stage, on each rank of dp.
TEST_P(Lowering, TilesEveryParameterAndItsGradientOnEveryDataParallelRank) {
  const std::vector<Sharding> shardings = shard(model, strategy.tp);
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& parameter = model.parameters()[i];
    const Sharding sharding = shardings[static_cast<std::size_t>(parameter.layer)];
    const bool whole = sharding == Sharding::replicated ||
                       (sharding == Sharding::row && parameter.role == Parameter::Role::bias);
    for (const auto role : {Placement::Role::parameter, Placement::Role::gradient}) {
      const Placement wanted{.role = role, .range = {}, .tensor = static_cast<std::int32_t>(i)};
      for (int d = 0; d < strategy.dp; ++d) {
        EXPECT_THAT(elements_placed(graph, strategy, parameter, wanted, d),
                    Each(whole ? strategy.tp : 1))
            << model.layer(parameter.layer).name;
      }
    }
  }
}

TEST_P(Lowering, PlacesNothingOnTopOfAnythingElse) {
  for (const Placement& a : graph.placements) {
    EXPECT_LE(a.range.offset + a.range.bytes, graph.buffers[index(a.range.buffer)].bytes);
    for (const Placement& b : graph.placements) {
      if (&a == &b || a.range.buffer != b.range.buffer) continue;
      EXPECT_FALSE(overlap(a.range, b.range));
    }
  }
}

}  // namespace
}  // namespace foreplan
