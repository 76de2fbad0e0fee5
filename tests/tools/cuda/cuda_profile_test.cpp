// The whole of `profile --backend cuda` and `validate --backend cuda` on sizes for an emulation.
#include "tools/cuda_profile.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "sim/cluster_io.hpp"
#include "sim/cluster_json.hpp"
#include "sim/profile_io.hpp"
#include "tests/runtime/cuda/gpu.hpp"
#include "tests/sim/temporary_file.hpp"
#include "tests/tools/cuda/linked_half.hpp"
#include "tools/gpu_cluster.hpp"
#include "tools/validation.hpp"

namespace foreplan {
namespace {

using testing::Contains;
using testing::Each;
using testing::SizeIs;

const ProfilingOptions kShort{
    .warm_up = 1, .turn = Duration{1}, .least_steps = 1, .most_steps = 2, .head_start = 64_KB};
const std::vector<Workload> kSmall{{.model = "mnist-linear", .global_batch = 16}};

CudaProfiling small(int devices) {
  return {.devices = devices,
          .rounds = 1,
          .grid = GridSize::tiny,
          .workloads = kSmall,
          .largest_copy = 64_KiB,
          .least_pool = 64_KiB,
          .turns = kShort,
          .probe_steps = 3};
}

class CudaProfile : public GpuTest {};

TEST_F(CudaProfile, MeasuresAllThatItSays) {
  const CudaHalf half = linked_half();
  std::set<std::string> parts;
  CudaProfiling options = small(3);
  options.progress = [&](const std::string& part) { parts.insert(part); };
  const Profile profile = measure_gpus(half, options);
  EXPECT_THAT(parts, SizeIs(13));
  EXPECT_EQ(profile.device.backend, "cuda");
  EXPECT_FALSE(profile.device.driver.empty());
  std::set<std::string> ops;
  std::set<DType> products;
  for (const ProfiledOp& op : profile.ops) {
    ops.insert(op.key.op);
    EXPECT_GT(op.time.mean, Duration{}) << format(op.key);
    EXPECT_TRUE(op.multiprocessors) << format(op.key);
    if (op.key.op != "linear") continue;
    products.insert(op.key.dtype);
    EXPECT_FALSE(op.choice.empty());
  }
  EXPECT_THAT(products, SizeIs(4));
  for (const char* op : {"layer_norm", "softmax", "embedding", "adam", "sgd", "accumulate"}) {
    EXPECT_THAT(ops, Contains(op));
  }
  std::set<std::pair<DeviceId, DeviceId>> pairs;
  for (const ProfiledCopy& copy : profile.copies) {
    pairs.emplace(copy.source, copy.destination);
    EXPECT_FALSE(copy.path.empty());
  }
  EXPECT_THAT(pairs, SizeIs(9));
  // Three pairs both ways, one to all, all to one and a ring, of two sizes each.
  EXPECT_THAT(profile.copies_together, SizeIs(12));
  EXPECT_FALSE(profile.host_copies.empty());
  // A product and a norm beside two copies and a reduction.
  EXPECT_THAT(profile.interference, SizeIs(6));
  ASSERT_TRUE(profile.issue);
  EXPECT_GT(profile.issue->task.mean, Duration{});
  EXPECT_GT(profile.dispatch.samples, 0);
  EXPECT_GT(profile.handover.samples, 0);
  const TemporaryFile file("profile.json", to_json(profile));
  EXPECT_EQ(read_profile(file.path()), profile);
  EXPECT_NO_THROW(ProfileModel{profile});
}

TEST_F(CudaProfile, GivesAClusterThatIsReadBack) {
  const CudaHalf half = linked_half();
  const Profile profile = measure_gpus(half, small(2));
  const auto gpus = half.cuda.find_gpus();
  const Cluster cluster = gpu_cluster(gpus, 2, &profile);
  const TemporaryFile file("cluster.json", to_json(cluster, "measured"));
  const Cluster back = read_cluster(file.path(), {});
  EXPECT_EQ(back.devices(), 2);
  EXPECT_EQ(back.processors(), cluster.processors());
  EXPECT_FALSE(back.route(DeviceId{0}, DeviceId{1}).empty());
}

TEST_F(CudaProfile, ClosesTheLoopOnLogicalDevices) {
  const CudaHalf half = linked_half();
  const auto gpus = static_cast<int>(half.cuda.find_gpus().size());
  const auto machine = cuda_machine(half, 4);
  const Validation validation = validate(*machine, {.workloads = kSmall,
                                                    .rounds = 1,
                                                    .turns = kShort,
                                                    .row_turns = kShort,
                                                    .first_turns = kShort});
  ASSERT_FALSE(validation.rows.empty());
  std::set<int> devices;
  for (const ValidationRow& row : validation.rows) {
    devices.insert(row.strategy.devices());
    EXPECT_GT(row.forecast.step_time, Duration{}) << row.id;
    EXPECT_GT(row.measured.mean, Duration{}) << row.id;
    const bool logical = row.source.find("logical") != std::string::npos;
    EXPECT_EQ(logical, row.strategy.devices() > gpus) << row.source;
    EXPECT_EQ(row.forecast_timeline.start.size(), row.measured_timeline.start.size());
  }
  for (const int count : {1, 2, 4}) EXPECT_THAT(devices, Contains(count));
  EXPECT_EQ(validation.profile.device.logical, gpus < 4);
  EXPECT_TRUE(validation.profile.issue);
}

}  // namespace
}  // namespace foreplan
