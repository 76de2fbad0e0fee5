#include "sim/layer_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "sim/error.hpp"

namespace foreplan {
namespace {

Duration scaled(Duration time, double factor) {
  return Duration(std::llround(static_cast<double>(time.count()) * factor));
}

LayerTimes in_proportion(const LayerTimes& times, double factor) {
  return {.forward = scaled(times.forward, factor),
          .backward = scaled(times.backward, factor),
          .update = times.update};
}

LayerTimes between(const LayerTimes& low, const LayerTimes& high, double share) {
  return {.forward = low.forward + scaled(high.forward - low.forward, share),
          .backward = low.backward + scaled(high.backward - low.backward, share),
          .update = share <= 0.5 ? low.update : high.update};
}

}  // namespace

void LayerTable::add(const ProfiledLayer& layer) {
  auto& sizes = layers_[{layer.model, layer.layer, layer.tp}];
  if (sizes.emplace(layer.micro_batch, layer.times).second) return;
  reject(fmt::format(
      "profile: expected each layer once, got {} of {} with tp {}, micro-batch {} twice",
      layer.layer, layer.model, layer.tp, layer.micro_batch));
}

std::optional<LayerTimes> LayerTable::times(const LayerKey& key) const {
  const auto found = layers_.find({std::string(key.model), std::string(key.layer), key.tp});
  if (found == layers_.end()) return std::nullopt;
  const auto& sizes = found->second;
  const auto wanted = static_cast<double>(key.micro_batch);
  const auto above = sizes.lower_bound(key.micro_batch);
  if (above == sizes.end()) {
    const auto& [size, times] = *std::prev(above);
    return in_proportion(times, wanted / static_cast<double>(size));
  }
  if (above == sizes.begin()) {
    return in_proportion(above->second, wanted / static_cast<double>(above->first));
  }
  const auto& [low, low_times] = *std::prev(above);
  const auto& [high, high_times] = *above;
  const double share = static_cast<double>(key.micro_batch - low) / static_cast<double>(high - low);
  return between(low_times, high_times, share);
}

}  // namespace foreplan
