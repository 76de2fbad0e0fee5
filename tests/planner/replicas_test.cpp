#include "planner/replicas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/space.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/fake_cost_model.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

const OpGraph& gpt() {
  static const OpGraph model = hand_made_gpt({});
  return model;
}

const Cluster& node() {
  static const Cluster cluster = fake_cluster(8);
  return cluster;
}

Task task_with(std::vector<std::pair<DeviceId, double>> slow) {
  static const RooflineModel costs;
  return {.model = gpt(),
          .cluster = node(),
          .costs = costs,
          .global_batch = 8,
          .lengths = {.source = 8},
          .slow = std::move(slow)};
}

TEST(DeviceKinds, TellsSlowDevicesApart) {
  EXPECT_EQ(device_kinds(task_with({})).size(), 1u);
  EXPECT_EQ(device_kinds(task_with({{DeviceId{7}, 1.5}})).size(), 2u);
  EXPECT_TRUE(are_alike(task_with({{DeviceId{7}, 1.5}}), 7));
  EXPECT_FALSE(are_alike(task_with({{DeviceId{7}, 1.5}}), 8));
}

// Whoever asks first, a space among them: nothing is written beside the eight devices.
TEST(DeviceKinds, RefusesDevicesThatThereAreNot) {
  const Task beyond = task_with({{DeviceId{8}, 1.5}}), never = task_with({{DeviceId{1}, 0.0}});
  EXPECT_THAT(complaint([&] { device_kinds(beyond); }),
              HasSubstr("slow: expected a device from 0 to 7, got 8"));
  EXPECT_THAT(complaint([&] { are_alike(never, 2); }), HasSubstr("expected a factor > 0"));
  EXPECT_THAT(complaint([&] {
                StrategySpace(beyond, std::make_shared<const UnitChain>(unit_chain(gpt())), 8);
              }),
              HasSubstr("slow: expected a device from 0 to 7, got 8"));
}

}  // namespace
}  // namespace foreplan
