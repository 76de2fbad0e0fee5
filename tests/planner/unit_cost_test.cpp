#include "planner/unit_cost.hpp"

#include <gtest/gtest.h>

#include "models/op_cost.hpp"
#include "tests/planner/fake_cost_model.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

Op product(Pass pass) {
  return make_op({.op = "linear", .pass = pass, .shape = {1, 1, 1}, .dtype = DType::fp32});
}

/// A layer that takes 10 us forward, 12 us and 14 us backward (input, weight), and its exchanges.
UnitCost priced(std::vector<Exchange> exchanges, const Stack& stack, int tensor_ranks = 4) {
  FakeCostModel costs;
  costs.op = [](const OpKey& key) -> Duration {
    if (key.pass == Pass::forward) return 10us;
    return key.pass == Pass::backward_input ? 12us : 14us;
  };
  UnitWork work;
  work.layers.push_back({.layer = LayerId{0},
                         .ops = {.forward = {product(Pass::forward)},
                                 .backward_input = {product(Pass::backward_input)},
                                 .backward_weight = {product(Pass::backward_weight)}}});
  work.exchanges = std::move(exchanges);
  const DeviceSpec device = fake_device();
  return price(work,
               {.costs = costs, .spec = device, .stack = stack, .tensor_ranks = tensor_ranks});
}

Exchange exchange(CollectiveKind kind, Pass pass, Duration time) {
  return {.kind = kind,
          .axis = Axis::tensor,
          .pass = pass,
          .bytes = {},
          .beside = {LayerId{0}},
          .time = time};
}

const Stack kPipelined{.pipeline_tensor = true};

TEST(UnitCost, ExposesExchangesForward) {
  const auto gather = exchange(CollectiveKind::all_gather, Pass::forward, 8us);
  EXPECT_EQ(priced({gather}, {}).forward_exchange, 8us);
}

// Backward, what is reduced goes beside the 14 us of the weights' gradients; what is gathered is waited for.
TEST(UnitCost, HidesReductionsBackwardBesideTheWeights) {
  const auto reduce = exchange(CollectiveKind::reduce_scatter, Pass::backward_input, 20us);
  const auto gather = exchange(CollectiveKind::all_gather, Pass::backward_input, 3us);
  EXPECT_EQ(priced({reduce}, {}).backward_exchange, 6us);
  EXPECT_EQ(priced({gather}, {}).backward_exchange, 3us);
  EXPECT_EQ(priced({reduce}, {.overlap_tensor = false}).backward_exchange, 20us);
}

// In four parts: the first of 8 us is exposed, 2 us; the other 6 us are beside 3/4 of the product, 7.5 us. Of
// 16 us the first 4 us, and of the other 12 us what outlasts 7.5 us: 8.5 us. Backward beside 3/4 of 12 us.
TEST(UnitCost, PipelinesExchangesOfTensorParallelism) {
  const auto gather = exchange(CollectiveKind::all_gather, Pass::forward, 8us);
  const auto reduce = exchange(CollectiveKind::reduce_scatter, Pass::forward, 16us);
  const auto back = exchange(CollectiveKind::all_gather, Pass::backward_input, 16us);
  EXPECT_EQ(priced({gather}, kPipelined).forward_exchange, 2us);
  EXPECT_EQ(priced({reduce}, kPipelined).forward_exchange, 8'500ns);
  EXPECT_EQ(priced({back}, kPipelined).backward_exchange, 7us);
}

// What reduces backward is beside the weights as before; without sequence parallelism nothing is cut in parts.
TEST(UnitCost, PipelinesNothingElse) {
  const auto reduce = exchange(CollectiveKind::reduce_scatter, Pass::backward_input, 20us);
  const auto gather = exchange(CollectiveKind::all_gather, Pass::forward, 8us);
  EXPECT_EQ(priced({reduce}, kPipelined).backward_exchange, 6us);
  EXPECT_EQ(priced({gather}, kPipelined, 1).forward_exchange, 8us);
}

Exchange rows(Pass pass, Duration time) {
  return {.kind = CollectiveKind::all_to_all,
          .axis = Axis::expert,
          .pass = pass,
          .layer = LayerId{0},
          .bytes = {},
          .beside = {},
          .time = time};
}

// Two exchanges forward share the 26 us that another micro-batch computes backward: of 15 us each, 2 us are
// waited for. Two backward share its 10 us: of 6 us each, 1 us.
TEST(UnitCost, HidesRowsForExpertsBesideAnotherMicroBatch) {
  const Stack overlaps{.overlap_experts = true};
  const std::vector<Exchange> forward(2, rows(Pass::forward, 15us));
  const std::vector<Exchange> backward(2, rows(Pass::backward_input, 6us));
  EXPECT_EQ(priced(forward, overlaps).forward_exchange, 4us);
  EXPECT_EQ(priced(backward, overlaps).backward_exchange, 2us);
  EXPECT_EQ(priced(forward, {}).forward_exchange, 30us);
  EXPECT_EQ(priced(backward, {}).backward_exchange, 12us);
}

// What was reduced is kept, what was gathered is gathered anew: 8 us. Recomputation of attention alone asks for none.
TEST(UnitCost, GathersAnewWhereOperationsAreRecomputed) {
  const auto gather = exchange(CollectiveKind::all_gather, Pass::forward, 8us);
  const auto reduce = exchange(CollectiveKind::reduce_scatter, Pass::forward, 16us);
  const auto again = [&](SelectiveRecompute selective, Recompute recompute) {
    FakeCostModel costs;
    UnitWork work;
    work.layers.push_back(
        {.layer = LayerId{0},
         .ops = {
             .forward = {product(Pass::forward)}, .backward_input = {}, .backward_weight = {}}});
    work.exchanges = {gather, reduce};
    const DeviceSpec device = fake_device();
    const Stack stack{.selective = selective};
    return price(work, {.costs = costs, .spec = device, .stack = stack, .recompute = recompute})
        .recompute_exchange;
  };
  EXPECT_EQ(again(SelectiveRecompute::operations, Recompute::selective), 8us);
  EXPECT_EQ(again(SelectiveRecompute::operations, Recompute::none), 0us);
  EXPECT_EQ(again(SelectiveRecompute::attention, Recompute::selective), 0us);
}

// A copy takes 5 us whatever its size: behind each gather and before each reduction; none without ranks to share,
// and in parts none behind what is gathered.
TEST(UnitCost, CopiesWhatGoesAlongTheSequence) {
  FakeCostModel costs;
  costs.op = [](const OpKey& key) -> Duration { return key.op == "copy" ? 5us : 0us; };
  const DeviceSpec device = fake_device();
  const auto forward = [&](CollectiveKind kind, const Stack& stack, int ranks) {
    UnitWork work;
    work.layers.push_back(
        {.layer = LayerId{0},
         .ops = {
             .forward = {product(Pass::forward)}, .backward_input = {}, .backward_weight = {}}});
    work.exchanges = {exchange(kind, Pass::forward, 8us)};
    return price(work, {.costs = costs, .spec = device, .stack = stack, .tensor_ranks = ranks})
        .forward_exchange;
  };
  const Stack copies{.copies_sequence = true};
  Stack parts = kPipelined;
  parts.copies_sequence = true;
  EXPECT_EQ(forward(CollectiveKind::all_gather, copies, 4), 13us);
  EXPECT_EQ(forward(CollectiveKind::reduce_scatter, copies, 4), 13us);
  EXPECT_EQ(forward(CollectiveKind::all_reduce, copies, 4), 8us);
  EXPECT_EQ(forward(CollectiveKind::all_gather, copies, 1), 8us);
  EXPECT_EQ(forward(CollectiveKind::all_gather, parts, 4), 8us);
  EXPECT_EQ(forward(CollectiveKind::reduce_scatter, parts, 4), 13us);
}

// 256 bytes gathered are read and written, 512; reduced in four parts, 256 are read and 64 written.
TEST(UnitCost, CopiesEveryByteOfASequence) {
  class Bytewise final : public CostModel {
   public:
    Duration compute_time(const Op& op, const DeviceSpec&) const override {
      return op.key.op == "copy" ? Duration(op.traffic.count) : Duration::zero();
    }
    std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
    Duration dispatch(const DeviceSpec&) const override { return {}; }
    Duration handover() const override { return {}; }
  } costs;
  const DeviceSpec device = fake_device();
  const auto copied = [&](CollectiveKind kind, bool parts) {
    UnitWork work;
    work.layers.push_back(
        {.layer = LayerId{0},
         .ops = {
             .forward = {product(Pass::forward)}, .backward_input = {}, .backward_weight = {}}});
    work.exchanges = {exchange(kind, Pass::forward, Duration::zero())};
    work.exchanges.front().bytes = 256_B;
    const Stack stack{.copies_sequence = true, .pipeline_tensor = parts};
    return price(work, {.costs = costs, .spec = device, .stack = stack, .tensor_ranks = 4})
        .forward_exchange;
  };
  EXPECT_EQ(copied(CollectiveKind::all_gather, false), Duration(512));
  EXPECT_EQ(copied(CollectiveKind::reduce_scatter, true), Duration(320));
}

/// One kernel of 10 us forward, 12 us and 14 us backward, handed out by a thread.
UnitCost handed_out(Duration host_launch, std::vector<Exchange> exchanges = {}, double kernels = 1,
                    Recompute recompute = Recompute::none, HostPace pace = HostPace::ahead) {
  FakeCostModel costs;
  costs.op = [](const OpKey& key) -> Duration {
    if (key.pass == Pass::forward) return 10us;
    return key.pass == Pass::backward_input ? 12us : 14us;
  };
  UnitWork work;
  work.layers.push_back({.layer = LayerId{0},
                         .ops = {.forward = {product(Pass::forward)},
                                 .backward_input = {product(Pass::backward_input)},
                                 .backward_weight = {product(Pass::backward_weight)}}});
  work.layers.front().ops.forward.front().launches = kernels;
  work.exchanges = std::move(exchanges);
  Stack stack;
  stack.host_launch = host_launch;
  stack.host_pace = pace;
  const DeviceSpec device = fake_device();
  return price(work, {.costs = costs, .spec = device, .stack = stack, .recompute = recompute});
}

// Forward's one kernel of 10 us is handed out in 9: no wait. Backward's two are 26 us, handed out in 18.
TEST(UnitCost, WaitsForNoHostThatIsAhead) {
  const UnitCost cost = handed_out(9us);
  EXPECT_EQ(cost.forward, 10us);
  EXPECT_EQ(cost.backward_input, 12us);
  EXPECT_EQ(cost.backward_weight, 14us);
}

// A kernel each 20 us: forward 20, backward 2 x 20 = 40 instead of 26, of which the weights keep their 14.
TEST(UnitCost, TakesAsLongAsTheHostHandsOutKernels) {
  const UnitCost cost = handed_out(20us);
  EXPECT_EQ(cost.forward, 20us);
  EXPECT_EQ(cost.backward_input + cost.backward_weight, 40us);
  EXPECT_EQ(cost.backward_weight, 14us);
}

// Five kernels of one op are five launches: 5 x 4 = 20 us.
TEST(UnitCost, CountsTheKernelsOfAnOp) { EXPECT_EQ(handed_out(4us, {}, 5).forward, 20us); }

// An exchange of 7 us is launched too, and the device is busy with it meanwhile: 2 x 20 us, of which 17 are work.
TEST(UnitCost, CountsExchangesAsLaunches) {
  const auto gather = exchange(CollectiveKind::all_gather, Pass::forward, 7us);
  const UnitCost cost = handed_out(20us, {gather});
  EXPECT_EQ(cost.whole_forward(), 40us);
  EXPECT_EQ(handed_out(8us, {gather}).whole_forward(), 17us);
}

// Full recomputation is forward again, and its host waits again.
TEST(UnitCost, WaitsForTheHostAgainWhereForwardComesAgain) {
  EXPECT_EQ(handed_out(20us, {}, 1, Recompute::full).recompute, 20us);
  EXPECT_EQ(handed_out(Duration::zero(), {}, 1, Recompute::full).recompute, 10us);
}

UnitCost timed_apart(Duration host_launch, double kernels = 1,
                     Recompute recompute = Recompute::none) {
  return handed_out(host_launch, {}, kernels, recompute, HostPace::starts_idle);
}

// An idle device waits 2 us for its first kernel; the others are handed out while it computes: 2 + 10, and
// 2 + 12 + 14.
TEST(UnitCost, WaitsForTheFirstKernelOfAPassWhereTheHostIsNotAhead) {
  const UnitCost cost = timed_apart(2us);
  EXPECT_EQ(cost.forward, 12us);
  EXPECT_EQ(cost.backward_input + cost.backward_weight, 28us);
  EXPECT_EQ(cost.backward_weight, 14us);
}

// Backward's second kernel is handed out at 40 us, when the first one, from 20 to 32 us, has long ended: 40 + 14.
TEST(UnitCost, WaitsForEachKernelThatComesTooLate) {
  const UnitCost cost = timed_apart(20us);
  EXPECT_EQ(cost.forward, 30us);
  EXPECT_EQ(cost.backward_input + cost.backward_weight, 54us);
}

// Five kernels of 2 us each: handed out every 1 us, the first at 1 us: 1 + 10. Every 4 us: the last at 20 us: 22.
TEST(UnitCost, WaitsForTheFirstOrTheLastKernelOfAnOp) {
  EXPECT_EQ(timed_apart(1us, 5).forward, 11us);
  EXPECT_EQ(timed_apart(4us, 5).forward, 22us);
}

// What another op's kernels do takes no launch of its own: the device goes on.
TEST(UnitCost, WaitsForNoKernelThatIsPartOfAnother) {
  EXPECT_EQ(timed_apart(20us, 0).forward, 10us);
}

TEST(UnitCost, RecomputesAsForwardWaits) {
  EXPECT_EQ(timed_apart(20us, 1, Recompute::full).recompute, 30us);
}

// Never sooner than with a host that is ahead; at no cost of the host the same.
TEST(UnitCost, IsNoSoonerWhereTheHostIsNotAhead) {
  for (const Duration launch : {1us, 3us, 9us, 11us, 20us, 50us}) {
    EXPECT_GE(timed_apart(launch, 3).forward, handed_out(launch, {}, 3).forward);
  }
  EXPECT_EQ(timed_apart(Duration::zero()).forward, 10us);
}

// A host that waits for each kernel hides behind none: 10 + 9 us forward, 12 + 14 + 2 x 9 backward, and forward
// again.
TEST(UnitCost, AddsWhatTheHostTakesWhereItWaits) {
  const UnitCost cost = handed_out(9us, {}, 1, Recompute::full, HostPace::waits);
  EXPECT_EQ(cost.forward, 19us);
  EXPECT_EQ(cost.backward_input + cost.backward_weight, 44us);
  EXPECT_EQ(cost.recompute, 19us);
}

}  // namespace
}  // namespace foreplan
