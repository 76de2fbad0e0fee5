#include "sim/task_graph_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "sim/collective.hpp"
#include "sim/error.hpp"
#include "sim/group_placement.hpp"
#include "sim/roofline.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/node_cluster.hpp"
#include "tests/sim/task_graph_files.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

/// A compute task of 1 us on `device`.
json compute(const std::string& id, int device = 0) {
  return {{"id", id}, {"kind", "compute"}, {"device", device}, {"duration_s", 1e-6}};
}

TEST(ReadTaskGraph, ReadsEveryKindOfTask) {
  const TaskGraphFile file = read(example());
  const TaskGraph& graph = file.graph;
  // Three ranks make 2 * 2 rounds of 3 copies.
  ASSERT_EQ(graph.size(), 4U + 12);
  EXPECT_EQ(graph.devices, 4);
  const Op& op = graph.ops[index(graph.op[0])];
  EXPECT_EQ(format(op.key), "linear.backward_weight[2x3x4] bf16 +=");
  EXPECT_EQ(op.flops.count, 48);
  EXPECT_EQ(op.traffic, 60_B);
  EXPECT_EQ(op.given, std::nullopt);
  EXPECT_EQ(graph.buffers[0].category, BufferCategory::gradient);
  EXPECT_EQ(graph.buffers[0].name, "x");
  EXPECT_THAT(graph.frees[1], ElementsAre(BufferId{0}));

  EXPECT_EQ(graph.kind[1], TaskKind::transfer);
  EXPECT_EQ(graph.source[1], DeviceId{0});
  EXPECT_EQ(graph.device[1], DeviceId{1});
  EXPECT_EQ(graph.bytes[1], 1_MB);
  EXPECT_EQ(graph.stream[1], kCopyInStream);
  EXPECT_THAT(graph.after[1], ElementsAre(TaskId{0}));

  EXPECT_EQ(graph.kind[2], TaskKind::host);
  EXPECT_EQ(graph.stream_names[index(graph.stream[2])], "loader");
  EXPECT_EQ(graph.ops[index(graph.op[2])].given, 2us);
  EXPECT_EQ(graph.stream.back(), kNoStream);
  EXPECT_EQ(task_name(graph, TaskId{2}), "h");
}

TEST(ReadTaskGraph, TellsWhatEachTaskBecame) {
  const TaskGraphFile file = read(example());
  ASSERT_THAT(file.tasks, SizeIs(5));
  EXPECT_EQ(file.tasks[3].id, "sum");
  ASSERT_THAT(file.tasks[3].tasks, SizeIs(12));
  EXPECT_EQ(file.tasks[3].tasks.front(), TaskId{3});
  EXPECT_THAT(file.tasks[4].tasks, ElementsAre(TaskId{15}));
  Timeline timeline;
  for (int t = 0; t < 16; ++t) {
    timeline.start.push_back(t * 1us);
    timeline.finish.push_back(t * 1us + 5us);
  }
  const auto times = file_times(file, timeline);
  EXPECT_EQ(times[3].start, 3us);    // of task 3
  EXPECT_EQ(times[3].finish, 19us);  // of task 14
  EXPECT_EQ(times[4].start, 15us);
}

TEST(ReadTaskGraph, CountsDevicesFromTheGreatestUsedWhereTheFileDoesNot) {
  EXPECT_EQ(read(file_of({compute("a", 6)})).graph.devices, 7);
  EXPECT_EQ(read(file_of(json::array())).graph.devices, 1);
}

TEST(ReadTaskGraph, TakesPredecessorsThatComeLaterInTheFile) {
  json first = compute("a");
  first["after"] = {"b"};
  const TaskGraph graph = read(file_of({first, compute("b")})).graph;
  EXPECT_THAT(graph.after[0], ElementsAre(TaskId{1}));
}

/// `count` devices around a switch: 1 us and 100 GB/s from one to another.
Cluster star(int count) { return foreplan::star(count, 100_GBps, 500ns); }

std::map<std::string, FileTaskTime> simulated(const json& file) {
  const TaskGraphFile made = read(file);
  const Cluster cluster = star(made.graph.devices);
  const Costs costs = cost(made.graph, cluster, RooflineModel{});
  std::map<std::string, FileTaskTime> times;
  for (const auto& time : file_times(made, simulate(made.graph, costs, cluster).timeline)) {
    times[time.id] = time;
  }
  return times;
}

json collective(const std::string& operation, const json& group) {
  return {{"id", "c"},      {"kind", "collective"}, {"operation", operation},
          {"group", group}, {"bytes", 400'000'000}, {"stream", "collective"}};
}

// "a" takes 1 us; the collective waits for it on every rank: 2 (4 - 1) rounds of 1 us + 1 ms; "b"
// on a device outside of the group takes the time behind it.
TEST(ReadTaskGraph, LetsEveryRankWaitForACollectivesPredecessors) {
  for (const bool stream : {true, false}) {
    json c = collective("all_reduce", {0, 1, 2, 3});
    c["after"] = {"a"};
    if (!stream) c.erase("stream");
    json b = compute("b", 4);
    b["after"] = {"c"};
    auto times = simulated(file_of({b, c, compute("a", 3)}));
    EXPECT_EQ(times["c"].start, 1us);
    EXPECT_EQ(times["c"].finish, 6ms + 7us);
    EXPECT_EQ(times["b"].start, 6ms + 7us);
  }
}

// (4 - 1) rounds each: 3 ms + 3 us.
TEST(ReadTaskGraph, TimesTheOtherCollectivesByTheirFormulas) {
  for (const auto* operation : {"reduce_scatter", "all_gather", "all_to_all"}) {
    auto times = simulated(file_of({collective(operation, {0, 1, 2, 3})}));
    EXPECT_EQ(times["c"].start, 0s);
    EXPECT_EQ(times["c"].finish, 3ms + 3us) << operation;
  }
}

TEST(ReadTaskGraph, GivesACollectiveOfOneItsPlaceInTheOrder) {
  json c = collective("all_reduce", {0});
  c["after"] = {"a"};
  json b = compute("b");
  b["after"] = {"c"};
  auto times = simulated(file_of({compute("a"), c, b}));
  EXPECT_EQ(times["c"].start, 1us);
  EXPECT_EQ(times["c"].finish, 1us);
  EXPECT_EQ(times["b"].start, 1us);
}

// Two collectives on one stream of the same devices: one behind the other, without `after`.
TEST(ReadTaskGraph, LetsCollectivesOccupyTheirStream) {
  json second = collective("all_gather", {0, 1, 2, 3});
  second["id"] = "d";
  auto times = simulated(file_of({collective("all_gather", {0, 1, 2, 3}), second}));
  EXPECT_EQ(times["c"].finish, 3ms + 3us);
  EXPECT_EQ(times["d"].finish, 6ms + 6us);
}

/// When the collective `c` of that file ends on `cluster`.
Duration finish_on(const Cluster& cluster, const json& c) {
  const TemporaryFile written("g.json", file_of({c}).dump());
  const TaskGraphFile file = read_task_graph(
      written.path(), {},
      [&](std::span<const DeviceId> group) { return placement_of(cluster, group); });
  const Costs costs = cost(file.graph, cluster, RooflineModel{});
  return makespan(simulate(file.graph, costs, cluster).timeline);
}

// 400 MB among 4 ranks: tree 4 (1 us + 4 ms); halving and doubling 4 us + 6 ms, which no other beats.
TEST(ReadTaskGraph, TakesACollectivesAlgorithmByNameOrByCost) {
  json c = collective("all_reduce", {0, 1, 2, 3});
  c["algorithm"] = "tree";
  EXPECT_EQ(finish_on(star(4), c), 16ms + 4us);
  c["algorithm"] = "auto";
  EXPECT_EQ(finish_on(star(4), c), 6ms + 4us);
}

// A ring broadcast to 4 in 8 chunks of 0.5 ms: 4 - 2 + 8 rounds. A scatter goes straight: 3/4 of 4 ms.
TEST(ReadTaskGraph, KnowsCollectivesWithARoot) {
  json c = collective("broadcast", {0, 1, 2, 3});
  c["chunks"] = 8;
  EXPECT_EQ(finish_on(star(4), c), 5ms + 10us);
  EXPECT_EQ(finish_on(star(4), collective("scatter", {0, 1, 2, 3})), 3ms + 1us);
}

// 2 nodes of 2 behind one NIC of 20 GB/s: 2 rounds of 200 MB inside, 2 ms + 1 us each; across two ranks
// at once by 2 rounds of 100 MB at 10 GB/s, 10 ms + 5 us each, or by one of 200 MB, 20 ms + 5 us.
TEST(ReadTaskGraph, FindsTheNodesOfAHierarchyFromTheClusterOrIsTold) {
  const Cluster cluster = node_cluster({.nodes = 2, .devices = 2});
  json c = collective("all_reduce", {0, 1, 2, 3});
  c["algorithm"] = "hierarchical";
  EXPECT_EQ(finish_on(cluster, c), 24ms + 12us);
  c["across"] = "recursive_doubling";
  EXPECT_EQ(finish_on(cluster, c), 24ms + 7us);
  EXPECT_EQ(complaint(file_of({c})),
            "g.json: /tasks/0: expected a collective that tells its algorithm and ranks_per_node");
  c["ranks_per_node"] = 2;
  EXPECT_EQ(read(file_of({c})).graph.size(),
            12U);  // 4 ranks, a round inside, one across, one inside
  c["ranks_per_node"] = 3;
  EXPECT_THAT(complaint(file_of({c})), HasSubstr("expected nodes of 3 ranks, got 4 ranks"));
}

json op_task() {
  return {{"id", "a"},
          {"kind", "compute"},
          {"device", 0},
          {"op", {{"op", "relu"}, {"pass", "forward"}, {"shape", {8}}, {"dtype", "fp32"}}}};
}

Op relu_work(OpKey key) { return {.key = std::move(key), .flops = {8}, .traffic = 64_B}; }

TEST(ReadTaskGraph, AsksForTheWorkThatTheFileDoesNotTell) {
  json task = op_task();
  const TaskGraph graph = read(file_of({task}), relu_work).graph;
  EXPECT_EQ(graph.ops[0].flops.count, 8);
  EXPECT_EQ(graph.ops[0].traffic, 64_B);
  task["op"]["flops"] = 9;
  EXPECT_EQ(read(file_of({task}), relu_work).graph.ops[0].flops.count, 9);
  EXPECT_EQ(complaint(file_of({task})),
            "g.json: /tasks/0/op: expected flops and bytes_accessed, got only one or none");
  task["duration_s"] = 1;
  EXPECT_EQ(read(file_of({task})).graph.ops[0].given, 1s);
}

TEST(ReadTaskGraph, KeepsToOneLineWhereTheOpsOwnComplaintDoesNot) {
  json task = op_task();
  task["op"]["op"] = "line\nbreak";
  const OpCompletion refuse = [](OpKey key) -> Op { reject("unknown op '" + key.op + "'"); };
  EXPECT_EQ(complaint(file_of({task}), refuse), "g.json: /tasks/0/op: unknown op 'line\\nbreak'");
}

/// What is said about the example after `change` to its task `number`.
template <typename Change>
std::string wrong(std::size_t number, Change change) {
  json file = example();
  change(file["tasks"][number]);
  return complaint(file);
}

/// A collective of devices 0 to `ranks` - 1.
json collective_of(const std::string& id, const std::string& operation, int ranks) {
  json group = json::array();
  for (int rank = 0; rank < ranks; ++rank) group.push_back(rank);
  return {{"id", id},
          {"kind", "collective"},
          {"operation", operation},
          {"group", group},
          {"bytes", 1'000'000}};
}

// 512 rings of an all-reduce among 512 are 512 * 2 * 511 * 512 copies, 268 million; 4096 parts up
// and down both trees of 1024 are 4 * 1024 * 4096 at most, 17 million.
TEST(ReadTaskGraph, LimitsWhatAFewCollectivesAskFor) {
  json rings = collective_of("a", "all_reduce", 512);
  rings["channels"] = 512;
  json trees = collective_of("b", "all_reduce", 1024);
  trees["algorithm"] = "double_tree";
  trees["chunks"] = 4096;
  const std::string end =
      ": expected at most 5000000 tasks, those of collectives counted, got more";
  EXPECT_EQ(complaint(file_of({rings})), "g.json: /tasks/0" + end);
  EXPECT_EQ(complaint(file_of({compute("c"), trees})), "g.json: /tasks/1" + end);
  trees["chunks"] = 2;
  EXPECT_NO_THROW(read(file_of({trees})));
}

// The first copies of 500 ranks after the last of 500 are 250,000 dependencies; 200 times that is
// the limit.
TEST(ReadTaskGraph, LimitsDependenciesBetweenCollectives) {
  json second = collective_of("b", "all_gather", 500);
  second["after"] = std::vector<std::string>(201, "a");
  EXPECT_EQ(complaint(file_of({collective_of("a", "all_gather", 500), second})),
            "g.json: /tasks/1/after/200: expected at most 50000000 dependencies, those of "
            "collectives counted, got \"a\"");
}

TEST(ReadTaskGraph, TellsThePlaceOfWhatIsWrong) {
  EXPECT_EQ(wrong(0, [](json& t) { t["kind"] = "magic"; }),
            "g.json: /tasks/0/kind: expected compute, transfer, collective or host, got \"magic\"");
  EXPECT_EQ(wrong(1, [](json& t) { t["bytes"] = -4; }),
            "g.json: /tasks/1/bytes: expected an integer >= 0, got -4");
  EXPECT_EQ(wrong(1, [](json& t) { t["device"] = 0; }),
            "g.json: /tasks/1/device: expected the transfer's destination, 1, got 0");
  EXPECT_EQ(wrong(1,
                  [](json& t) {
                    t["after"] = {"a", "zz"};
                  }),
            "g.json: /tasks/1/after/1: expected the name of a task, got \"zz\"");
  EXPECT_EQ(wrong(1, [](json& t) { t["frees"] = {"y"}; }),
            "g.json: /tasks/1/frees/0: expected the name of a buffer, got \"y\"");
  EXPECT_EQ(wrong(2, [](json& t) { t["id"] = "a"; }),
            "g.json: /tasks/2/id: expected a name that no other task has, got \"a\"");
  EXPECT_EQ(wrong(2, [](json& t) { t.erase("duration_s"); }),
            "g.json: /tasks/2: expected the key \"duration_s\" or \"op\", got neither");
  EXPECT_EQ(wrong(3,
                  [](json& t) {
                    t["group"] = {0, 1, 0};
                  }),
            "g.json: /tasks/3/group/2: expected each device once, got 0");
  EXPECT_EQ(wrong(3, [](json& t) { t["group"] = json::array(); }),
            "g.json: /tasks/3/group: expected at least one device, got an array of 0 values");
  EXPECT_EQ(wrong(3, [](json& t) { t["algorithm"] = "best"; }),
            "g.json: /tasks/3/algorithm: expected auto, ring, direct, tree, double_tree, "
            "recursive_doubling, halving_doubling or hierarchical, got \"best\"");
  EXPECT_EQ(wrong(3,
                  [](json& t) {
                    t["operation"] = "gather";
                    t["algorithm"] = "ring";
                  }),
            "g.json: /tasks/3: collective: ring has no gather");
  EXPECT_THAT(wrong(3, [](json& t) { t["device"] = 0; }),
              StartsWith("g.json: /tasks/3/device: expected one of across, after, algorithm, "
                         "bytes, channels, chunks"));
}

TEST(ReadTaskGraph, NamesFileAndTasksOfWhatTheBuilderRefuses) {
  const std::string cycle = wrong(0, [](json& t) { t["after"] = {"h"}; });
  EXPECT_THAT(cycle, StartsWith("g.json: "));
  for (const auto* id : {"a", "send", "h"}) EXPECT_THAT(cycle, HasSubstr(id));
  EXPECT_THAT(wrong(1, [](json& t) { t.erase("frees"); }),
              HasSubstr("g.json: buffer 'x' is never"));
  EXPECT_THAT(wrong(4, [](json& t) { t["device"] = 4; }), HasSubstr("task 'b'"));
}

}  // namespace
}  // namespace foreplan
