#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/cost_model.hpp"
#include "sim/shape_table.hpp"

namespace foreplan {

/// A summary of repeated measurements of one thing.
struct Sample {
  Duration mean{};
  Duration median{};
  Duration mad{};            ///< median absolute deviation from the median
  std::int64_t samples = 0;  ///< all that were taken
  /// Of these, how many were hit by an involuntary context switch. The profiler leaves them out of
  /// mean, median and mad unless they are more than three quarters.
  std::int64_t disturbed = 0;
  friend bool operator==(const Sample&, const Sample&) = default;
};

/// Summarises `values` in any order; `disturbed` of them were marked. Empty input gives zeros.
///
/// The mean is rounded to the nearest picosecond; the median of an even number of values is the
/// mean of the two in the middle, rounded down; mad likewise.
Sample summarise(std::vector<Duration> values, std::int64_t disturbed);

struct ProfiledOp {
  OpKey key;
  Flops flops;
  Bytes traffic;
  Sample time;
  /// The share of the multiprocessors that it could fill, 0 to 1, where the devices have some.
  std::optional<double> multiprocessors{};
  std::string choice{};  ///< what a library chose to run, where it says so
  double launches = 1;   ///< of how many kernels, copies and memsets it was
  friend bool operator==(const ProfiledOp&, const ProfiledOp&) = default;
};

struct ProfiledCopy {
  DeviceId source{}, destination{};
  Bytes bytes;
  Sample time;
  std::string path{};  ///< "same_gpu", "peer" or "staged" (through the host); empty: nobody told
  friend bool operator==(const ProfiledCopy&, const ProfiledCopy&) = default;
};

/// Copies that run at the same time, each of `bytes`.
struct ProfiledCopies {
  struct Pair {
    DeviceId source{}, destination{};
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  std::vector<Pair> pairs;
  Bytes bytes;
  Sample time;  ///< of one of them
  friend bool operator==(const ProfiledCopies&, const ProfiledCopies&) = default;
};

/// A copy between the host's memory and a device's, as the program waits for it.
struct HostCopy {
  DeviceId device{};
  bool to_device = true;
  Bytes bytes;
  Sample time;
  friend bool operator==(const HostCopy&, const HostCopy&) = default;
};

/// How compute and communication on one device slow each other down while both run: time beside the
/// other over time alone.
struct Interference {
  std::string compute;                ///< "linear.forward[4096x4096x4096] bf16"
  std::string communication;          ///< "copy 64 MB", "accumulate.forward[16777216] fp32"
  double slowdown = 1;                ///< of the compute
  double communication_slowdown = 1;  ///< of the communication
  std::int64_t samples = 0;
  friend bool operator==(const Interference&, const Interference&) = default;
};

/// What it costs the thread that hands out work to hand out one of each.
struct IssueSamples {
  Sample task;    ///< a kernel or a copy
  Sample record;  ///< of an event
  Sample wait;    ///< of a stream for an event
  friend bool operator==(const IssueSamples&, const IssueSamples&) = default;
};

/// What the driver told of a device's state.
struct DeviceState {
  int gpu = 0;
  std::string after;  ///< which part of the measurement had just run: "start", "products bf16"
  double clock_mhz = 0, memory_clock_mhz = 0, power_w = 0, temperature_c = 0;
  friend bool operator==(const DeviceState&, const DeviceState&) = default;
};

struct ProfiledCollective {
  CollectiveKind kind{};
  int ranks = 0;
  Bytes bytes;
  Sample time;
  friend bool operator==(const ProfiledCollective&, const ProfiledCollective&) = default;
};

/// A straight line t = overhead + work / rate, fitted by least squares of relative error.
struct LineFit {
  std::string what;      ///< "linear.forward fp32", "copy", "bytes fp32": see ProfileModel
  std::string variable;  ///< "flops", "bytes"
  Duration overhead{};   ///< >= 0
  double per_s = 0;      ///< rate: variable a second
  double residual = 0;   ///< root mean square of (fitted / measured - 1) over what it was fitted on
  std::int64_t points = 0;
  std::string fitted_on;  ///< which entries of the profile
  friend bool operator==(const LineFit&, const LineFit&) = default;
};

/// What was measured on one machine: `foreplan.profile/1`.
struct Profile {
  std::string source{};  ///< where it is from, and its licence; empty: measured here
  struct Device {
    std::string name;
    std::string backend;
    Bytes memory;
    double clock_mhz = 0;
    std::string driver;
    std::string measured_at;  ///< ISO 8601, UTC
    int workers = 0;          ///< devices active while it was measured
    bool logical = false;     ///< some of them share a processor
    friend bool operator==(const Device&, const Device&) = default;
  } device;
  std::vector<ProfiledOp> ops;
  std::vector<ProfiledCopy> copies;
  std::vector<ProfiledCollective> collectives;
  Sample dispatch;  ///< between the end of a task and the start of the next of its stream
  Sample handover;  ///< from the end of a task to a waiting task's start on another device
  Sample barrier;   ///< all devices meet
  std::vector<LineFit> fits;
  std::vector<ProfiledLayer> layers{};  ///< measured whole
  // Measured on GPUs only.
  std::vector<ProfiledCopies> copies_together{};
  std::vector<HostCopy> host_copies{};
  std::vector<Interference> interference{};
  std::optional<IssueSamples> issue{};  ///< none: each device has a thread of its own
  std::vector<DeviceState> states{};
  friend bool operator==(const Profile&, const Profile&) = default;
};

/// The cost model of a measured machine; all times are means.
///
/// An op takes, whichever of these the profile has first:
///   1. its own measurement;
///   2. that of the same key with `accumulate` the other way;
///   3. the fit "<op>.<pass> <dtype>", with " +=" behind it where the key accumulates;
///   4. that fit with or without the " +=", the other way;
///   5. products: the times of near shapes (sim/shape_table.hpp);
///   6. the longer of the fits "bytes <dtype>" and "flops <dtype>", which stand for any op;
///   7. where the device file tells what its kernels reach, that (sim/kernel_model.hpp).
/// What a stack's kernels do as part of another op (`launches` 0) takes none.
/// A fit says t = overhead + x / per_s, x the op's FLOPs or traffic as `variable` tells.
///
/// A copy between two devices takes the linear interpolation between the nearest measured sizes of
/// that pair; below the smallest size, the time of the smallest; above the largest, the time of
/// the largest and the extra bytes at the rate of the fit "copy" (without one: at the rate between
/// the last two sizes; where that is not positive: at the largest copy's bytes a second). A pair that
/// was not measured takes the mean over the measured pairs; if none was, the route's links decide.
///
/// Of products that no fit tells anything about (5) bytes alone would not tell the time: (6) does not stand for
/// them unless there is a fit of "flops <dtype>".
///
/// An op wants the share of the multiprocessors that was measured for its key, or for the same key with
/// `accumulate` the other way; all of them where nothing was. So it is with its kernels: one where nothing
/// was measured.
class ProfileModel final : public CostModel {
 public:
  /// @throws Error(invalid_argument) if an op or a copy is listed twice, or a fit has no positive
  ///   rate or another variable than "flops" and "bytes"
  explicit ProfileModel(Profile profile);
  /// @throws Error(invalid_argument) naming the op if there is neither measurement nor fit
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override;
  std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                    DeviceId destination) const override;
  Duration dispatch(const DeviceSpec& spec) const override;
  Duration handover() const override;
  IssueCost issue() const override;
  /// Between measured sizes of the same kind and ranks on the line, else as copies are.
  std::optional<Duration> collective_time(CollectiveKind kind, int ranks,
                                          Bytes size) const override;
  std::optional<LayerTimes> layer_times(const LayerKey& key) const override {
    return layers_.times(key);
  }
  /// The means over the profile's interference; none where it has no entries.
  Overlap overlap(const DeviceSpec& spec) const override;
  double launches(const Op& op) const override;
  Demand demand(const Op& op, const DeviceSpec& spec, Duration time) const override;
  /// Whether multiprocessor shares were measured.
  bool knows_demand() const override { return knows_demand_; }
  const Profile& profile() const { return profile_; }

 private:
  Profile profile_;
  std::map<OpKey, Duration> measured_;
  ShapeTable shapes_;
  LayerTable layers_;
  std::map<std::pair<CollectiveKind, int>, std::vector<std::pair<Bytes, Duration>>> collectives_;
  std::map<OpKey, double> shares_;
  std::map<OpKey, double> launches_;
  bool knows_demand_ = false;
  std::map<std::pair<DeviceId, DeviceId>, std::vector<std::pair<Bytes, Duration>>> copies_;
};

}  // namespace foreplan
