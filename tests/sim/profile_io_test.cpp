#include "sim/profile_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "sim/json_reader.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

Profile example() {
  const Sample sample{.mean = 1234ns + Duration{567},
                      .median = 1us,
                      .mad = Duration{1},
                      .samples = 30,
                      .disturbed = 2};
  Profile profile;
  profile.device = {.name = "some \"box\"\n",
                    .backend = "host",
                    .memory = 64_GiB,
                    .clock_mhz = 2595.124,
                    .driver = "1.2",
                    .measured_at = "2025-01-02T03:04:05Z",
                    .workers = 2};
  profile.ops = {{.key = {.op = "linear",
                          .pass = Pass::backward_weight,
                          .shape = {32, 784, 128},
                          .accumulate = true},
                  .flops = {1e30},
                  .traffic = 3_MB,
                  .time = sample},
                 {.key = {.op = "relu", .shape = {7}, .dtype = DType::bf16},
                  .flops = {7},
                  .traffic = 28_B,
                  .time = {}}};
  profile.copies = {{DeviceId{0}, DeviceId{1}, 4_KB, sample}};
  profile.collectives = {{CollectiveKind::reduce_scatter, 2, 1_MB, sample}};
  profile.dispatch = {.mean = 3us};
  profile.handover = {.mean = 4us};
  profile.barrier = sample;
  profile.fits = {{.what = "copy",
                   .variable = "bytes",
                   .overhead = Duration{17},
                   .per_s = 1.0 / 3.0,
                   .residual = 0.1 + 0.2,
                   .points = 9,
                   .fitted_on = "copies 0 to 8"}};
  return profile;
}

/// The example as GPUs have it: every key that may be left out is there.
Profile gpu_example() {
  Profile profile = example();
  const Sample sample = profile.barrier;
  profile.device.logical = true;
  profile.ops[0].multiprocessors = 0.25;
  profile.ops[0].choice = "algorithm 7";
  profile.ops[0].launches = 2;
  profile.copies[0].path = "staged";
  profile.copies_together = {
      {{{DeviceId{0}, DeviceId{1}}, {DeviceId{1}, DeviceId{0}}}, 1_MB, sample}};
  profile.host_copies = {{DeviceId{1}, true, 4_KB, sample}, {DeviceId{1}, false, 4_KB, sample}};
  profile.interference = {{"matmul", "copy 1 MB", 1.25, 1.5, 12}};
  profile.issue = {.task = sample, .record = {.mean = 1us}, .wait = {.mean = 2us}};
  profile.states = {{1, "copies", 1980, 2619, 350.5, 61}};
  profile.source = "who measured it";
  profile.layers = {{.model = "gpt",
                     .layer = "head",
                     .tp = 2,
                     .micro_batch = 3,
                     .times = {.forward = 1us, .backward = 2us, .update = Duration{7}}}};
  return profile;
}

Profile read_back(const std::string& text) {
  const TemporaryFile file("profile.json", text);
  return read_profile(file.path());
}

TEST(ProfileIo, ReadsBackExactlyWhatItWrote) {
  const Profile profile = example();
  EXPECT_EQ(read_back(to_json(profile)), profile);
  EXPECT_EQ(read_back(to_json(Profile{})), Profile{});
  EXPECT_EQ(read_back(to_json(gpu_example())), gpu_example());
}

TEST(ProfileIo, KeepsEveryPicosecondUpToHalfAnHour) {
  std::mt19937_64 random(3);
  Profile profile;
  for (int bits = 0; bits < 51; ++bits) {
    const auto mean = static_cast<std::int64_t>(random() >> (63U - static_cast<unsigned>(bits)));
    profile.copies.push_back({DeviceId{0}, DeviceId{1}, Bytes{bits}, {.mean = Duration{mean}}});
  }
  EXPECT_EQ(read_back(to_json(profile)), profile);
}

TEST(ProfileIo, WritesTheKeysOfTheDesign) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json["schema"], "foreplan.profile/1");
  EXPECT_EQ(json["device"]["memory_bytes"], 68719476736);  // 64 * 2^30
  EXPECT_EQ(json["ops"][0]["pass"], "backward_weight");
  EXPECT_EQ(json["ops"][0]["shape"], nlohmann::json({32, 784, 128}));
  EXPECT_EQ(json["ops"][0]["accumulate"], true);
  EXPECT_EQ(json["ops"][0]["bytes_accessed"], 3000000);
  EXPECT_EQ(json["ops"][0]["mean_s"], 1.234567e-6);
  EXPECT_EQ(json["copies"][0]["destination"], 1);
  EXPECT_EQ(json["collectives"][0]["operation"], "reduce_scatter");
  EXPECT_EQ(json["handover"]["mean_s"], 4e-6);
  EXPECT_EQ(json["fits"][0]["overhead_s"], 1.7e-11);
}

/// What is said about the example after `change`.
template <typename Change>
std::string complaint(Change change) {
  auto json = nlohmann::json::parse(to_json(example()));
  change(json);
  const TemporaryFile file("profile.json", json.dump());
  return file.complaint([&] { read_profile(file.path()); });
}

TEST(ProfileIo, TellsThePlaceOfWhatIsWrong) {
  EXPECT_EQ(complaint([](auto& json) { json["ops"][0]["mean_s"] = -1; }),
            "profile.json: /ops/0/mean_s: expected a number >= 0, got -1");
  EXPECT_EQ(complaint([](auto& json) { json["ops"][1]["mean_s"] = 1e7; }),
            "profile.json: /ops/1/mean_s: expected at most 9.2e6 seconds, got 10000000.0");
  EXPECT_EQ(complaint([](auto& json) { json["ops"][1]["shape"][0] = 0; }),
            "profile.json: /ops/1/shape/0: expected a positive integer, got 0");
  EXPECT_EQ(complaint([](auto& json) { json["ops"][1]["pass"] = "sideways"; }),
            "profile.json: /ops/1/pass: expected forward, backward_input, backward_weight or "
            "optimizer, got \"sideways\"");
  EXPECT_EQ(complaint([](auto& json) { json["fits"][0]["per_s"] = 0; }),
            "profile.json: /fits/0/per_s: expected a positive number, got 0");
  EXPECT_EQ(complaint([](auto& json) { json["fits"][0]["variable"] = "volts"; }),
            "profile.json: /fits/0/variable: expected flops or bytes, got \"volts\"");
  EXPECT_EQ(complaint([](auto& json) { json["copies"][0]["source"] = -1; }),
            "profile.json: /copies/0/source: expected an integer from 0 to 999999, got -1");
  EXPECT_THAT(complaint([](auto& json) { json["barrier"]["typo"] = 1; }),
              StartsWith("profile.json: /barrier/typo: expected one of "));
  EXPECT_EQ(complaint([](auto& json) { json.erase("dispatch"); }),
            "profile.json: expected the key \"dispatch\", got none");
}

TEST(ProfileIo, LeavesOutWhatOnlyGpusHave) {
  const auto json = nlohmann::json::parse(to_json(example()));
  for (const char* key : {"issue", "interference", "states", "copies_together", "host_copies"}) {
    EXPECT_FALSE(json.contains(key)) << key;
  }
  EXPECT_FALSE(json["ops"][0].contains("multiprocessors"));
  EXPECT_FALSE(json["device"].contains("logical"));
}

TEST(ProfileIo, RefusesSharesAboveOneAndCopiesOfNobody) {
  EXPECT_THAT(complaint([](auto& json) { json["ops"][0]["multiprocessors"] = 1.5; }),
              HasSubstr("/ops/0/multiprocessors: expected a share of at most 1"));
  auto pairs = nlohmann::json::parse(to_json(gpu_example()))["copies_together"];
  pairs[0]["pairs"] = nlohmann::json::array();
  EXPECT_THAT(complaint([&](auto& json) { json["copies_together"] = pairs; }),
              HasSubstr("/copies_together/0/pairs: expected at least one pair"));
  auto copies = nlohmann::json::parse(to_json(gpu_example()))["host_copies"];
  copies[0]["direction"] = "up";
  EXPECT_THAT(complaint([&](auto& json) { json["host_copies"] = copies; }),
              HasSubstr("expected to_device or from_device"));
}

TEST(ShippedProfiles, AreReadAndNameTheirSource) {
  int profiles = 0;
  namespace fs = std::filesystem;
  for (const auto& entry : fs::directory_iterator(FOREPLAN_SOURCE_DIR "/models/profiles")) {
    const Profile profile = read_profile(entry.path());
    EXPECT_THAT(profile.source, HasSubstr("Apache 2.0")) << entry.path();
    EXPECT_GT(profile.ops.size(), 100u) << entry.path();
    EXPECT_NO_THROW(ProfileModel{profile}) << entry.path();
    ++profiles;
  }
  EXPECT_GE(profiles, 2);
}

}  // namespace
}  // namespace foreplan
