#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "sim/units.hpp"

namespace foreplan {

/// What is asked of measurements of whole layers.
struct LayerKey {
  std::string_view model, layer;  ///< a block of the network, or one of its layers, by name
  int tp = 1;
  std::int64_t micro_batch = 1;  ///< samples
};

/// A layer measured whole on one rank, communication left out. Update: of all the rank's parameters.
struct LayerTimes {
  Duration forward{}, backward{}, update{};
  friend bool operator==(const LayerTimes&, const LayerTimes&) = default;
};

struct ProfiledLayer {
  std::string model, layer;
  int tp = 1;
  std::int64_t micro_batch = 1;
  LayerTimes times;
  friend bool operator==(const ProfiledLayer&, const ProfiledLayer&) = default;
};

/// Layers by model, name, tp and micro-batch.
///
/// Between two measured micro-batches b0 < b < b1 of the same layer and tp forward and backward lie on the line
/// between theirs; below the smallest and above the largest they are in proportion to b. The update is the
/// nearest one's (the smaller of two): parameters do not grow with the batch. Other degrees of tp tell nothing.
class LayerTable {
 public:
  /// @throws Error(invalid_argument) if the layer is there already
  void add(const ProfiledLayer& layer);
  std::optional<LayerTimes> times(const LayerKey& key) const;

 private:
  using Name = std::tuple<std::string, std::string, int>;
  std::map<Name, std::map<std::int64_t, LayerTimes>> layers_;
};

}  // namespace foreplan
