#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/branches.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// What the layers of a stretch cost a device for one micro-batch.
struct StretchCost {
  std::vector<Duration> forward, backward;  ///< by layer
  std::vector<Duration> copy;               ///< of its output, from one device to another
  Duration enters{};                        ///< the same of what enters
  friend bool operator==(const StretchCost&, const StretchCost&) = default;
};

/// The device of each layer of a stretch. What enters lies on device 0, and the last layer on it too.
using BranchPlacement = std::vector<std::int32_t>;

/// Something that devices do in a stretch. Instants count from its beginning, forward or backward.
struct BranchEvent {
  enum class Kind : std::uint8_t { compute, copy } kind{};
  std::int32_t layer =
      0;  ///< computed, or whose output (backward: its gradient) is copied; -1: what enters
  std::int32_t from = 0, to = 0;  ///< devices; of compute: both its own
  Duration start{}, finish{};
  std::vector<std::int32_t> after;  ///< the events that it waits for
};

/// One way through a stretch.
struct StretchWay {
  Duration finish{};
  std::vector<BranchEvent>
      events;  ///< in the order in which each device, and each link, comes to them
};

/// A stretch as devices work through it, each layer where a placement puts it.
///
/// A device computes one layer at a time, in the order of upward ranks,
///
///   rank(i) = t_i + max over layers j that read i of (copy_i + rank(j)),    t = forward + backward
///
/// the largest first, of equals the first layer; backward in the opposite order. A tensor that another device
/// reads is copied to it once, and of a gradient each device sends the sum over its readers. A device sends
/// one copy at a time and receives one, beside compute, in the order in which they are asked for. A layer
/// starts when its device is free and all it reads is there; gradients leave when a layer's backward is done.
///
/// For one order, no layer and no copy that takes less makes a way longer; and no way is shorter than its longest
/// path, or its work over the devices.
/// Source of the order: Topcuoglu, Hariri and Wu, Performance-effective and low-complexity task scheduling for
/// heterogeneous computing (HEFT), IEEE TPDS 13(3), 2002.
class BranchSchedule {
 public:
  /// Both must outlive it.
  BranchSchedule(const Stretch& stretch, const StretchCost& cost, int devices);

  /// Forward and backward.
  Duration time(const BranchPlacement& placement);
  /// The same in the same order, if copies took no time.
  Duration time_without_copies(const BranchPlacement& placement);
  StretchWay forward(const BranchPlacement& placement);
  StretchWay backward(const BranchPlacement& placement);
  /// HEFT without insertion: each layer, by rank, where its forward ends first; of equals the first device.
  BranchPlacement earliest_finish();

 private:
  /// When something is there, and which event made it so; -1: it was.
  struct Place {
    Duration ready{};
    std::int32_t event = -1;
  };
  struct Device {
    Place computed, sent, received;
  };

  void rank_layers();
  void begin(StretchWay* way);
  std::int32_t write(BranchEvent event, const std::vector<Place>& after);
  Duration copy_time(std::int32_t tensor) const;
  Place compute(std::int32_t layer, std::int32_t device, Duration time);
  Place copied(std::int32_t tensor, std::int32_t from, std::int32_t to, const Place& place);
  Place arrived(std::int32_t tensor, const BranchPlacement& placement, std::int32_t device);
  void gather_gradient(std::int32_t tensor, const BranchPlacement& placement, std::int32_t home);
  Duration run_forward(const BranchPlacement& placement, std::size_t layers, StretchWay* way);
  Duration run_backward(const BranchPlacement& placement, StretchWay* way);

  const Stretch& stretch_;
  const StretchCost& cost_;
  std::int32_t devices_;
  std::vector<std::int32_t> order_;                 ///< layers by upward rank
  std::vector<std::vector<std::int32_t>> readers_;  ///< of what enters, then of each layer
  bool free_copies_ = false;
  // Of the way at hand.
  StretchWay* way_ = nullptr;
  std::vector<Device> state_;
  std::vector<Place> done_;  ///< by layer
  std::vector<std::vector<std::optional<Place>>>
      copies_;               ///< of what enters, then of each layer: by device
  std::vector<Place> read_;  ///< by the layer at hand
};

}  // namespace foreplan
