#include "profiler/link_rates.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

ProfiledCopy copy(int from, int to, Bytes bytes, Duration time) {
  return {.source = DeviceId{from},
          .destination = DeviceId{to},
          .bytes = bytes,
          .time = {.mean = time}};
}

ProfiledCopies together(std::vector<ProfiledCopies::Pair> pairs, Bytes bytes, Duration time) {
  return {.pairs = std::move(pairs), .bytes = bytes, .time = {.mean = time}};
}

const ProfiledCopies::Pair kThere{DeviceId{0}, DeviceId{1}}, kBack{DeviceId{1}, DeviceId{0}};

/// 10 us and 100 GB/s: 1 MB takes 20 us, 10 MB 110 us; the same both ways.
Profile plain() {
  Profile profile;
  for (const auto& [a, b] : {std::pair(0, 1), std::pair(1, 0)}) {
    profile.copies.push_back(copy(a, b, 1_MB, 20us));
    profile.copies.push_back(copy(a, b, 10_MB, 110us));
  }
  return profile;
}

LinkRate only(const Profile& profile) {
  return link_rates(profile).pairs.at({DeviceId{0}, DeviceId{1}});
}

TEST(LinkRates, AreOfTheLineThroughBothDirections) {
  const LinkRate rate = only(plain());
  EXPECT_NEAR(rate.bandwidth.bytes_per_s, 100e9, 1);
  EXPECT_NEAR(seconds(rate.latency), 10e-6, 1e-11);
  EXPECT_TRUE(rate.duplex);
}

// Alone 110 us. 4/3 of that are 146.7 us: a copy that takes 140 us beside the other way shares little,
// one that takes 200 us shares the link.
TEST(LinkRates, AreDuplexUnlessBothWaysSlowEachOther) {
  Profile profile = plain();
  profile.copies_together = {together({kThere, kBack}, 10_MB, 140us)};
  EXPECT_TRUE(only(profile).duplex);
  profile.copies_together = {together({kThere, kBack}, 10_MB, 200us)};
  EXPECT_FALSE(only(profile).duplex);
  // The larger size decides.
  profile.copies_together.push_back(together({kThere, kBack}, 1_MB, 20us));
  EXPECT_FALSE(only(profile).duplex);
}

// Two copies at once that take twice as long are as fast together as one: one port. In 1.2 times the
// time they are 1.67 times as fast.
TEST(LinkRates, TellOnePortByCopiesToSeveral) {
  Profile profile = plain();
  const std::vector<ProfiledCopies::Pair> fan{kThere, {DeviceId{0}, DeviceId{2}}};
  profile.copies_together = {together(fan, 10_MB, 220us)};
  EXPECT_TRUE(link_rates(profile).one_port);
  profile.copies_together = {together(fan, 10_MB, 132us)};
  EXPECT_FALSE(link_rates(profile).one_port);
}

TEST(LinkRates, LeaveOutCopiesWithinADevice) {
  Profile profile;
  profile.copies = {copy(0, 0, 1_MB, 1us)};
  EXPECT_TRUE(link_rates(profile).pairs.empty());
  EXPECT_FALSE(link_rates(profile).one_port);
}

}  // namespace
}  // namespace foreplan
