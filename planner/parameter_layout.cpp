#include "planner/parameter_layout.hpp"

#include <algorithm>

namespace foreplan {
namespace {

constexpr std::int64_t kCacheLine = 64;

Bytes bytes_of(const ParameterPlace& place) { return Bytes{4 * place.shard.elements()}; }

/// Gives the places [begin, end) their offsets; returns the size of the bucket.
Bytes pack(std::vector<ParameterPlace>::iterator begin, std::vector<ParameterPlace>::iterator end) {
  std::stable_partition(begin, end, [](const ParameterPlace& place) {
    return bytes_of(place).count % kCacheLine == 0;
  });
  Bytes offset;
  for (auto place = begin; place != end; ++place) {
    place->offset = offset;
    offset += bytes_of(*place);
  }
  return offset;
}

}  // namespace

ParameterLayout layout_parameters(const OpGraph& model, const std::vector<Sharding>& shardings,
                                  const std::vector<LayerRange>& ranges,
                                  std::pair<int, int> tp_and_rank, const BucketSizes& sizes) {
  ParameterLayout layout;
  std::vector<ParameterPlace>& places = layout.places;
  std::size_t bucket_begin = 0;
  Bytes filled;
  const auto close = [&] {
    layout.buckets.push_back(
        pack(places.begin() + static_cast<std::ptrdiff_t>(bucket_begin), places.end()));
    bucket_begin = places.size();
    filled = Bytes{};
  };
  for (auto i = static_cast<std::int32_t>(model.parameters().size()) - 1; i >= 0; --i) {
    const Parameter& parameter = model.parameters()[static_cast<std::size_t>(i)];
    const int layer = static_cast<int>(parameter.layer);
    const bool here = std::any_of(ranges.begin(), ranges.end(), [layer](const LayerRange& range) {
      return range.first <= layer && layer < range.second;
    });
    if (!here) continue;
    const auto [tp, t] = tp_and_rank;
    places.push_back(
        {.tensor = i,
         .bucket = static_cast<int>(layout.buckets.size()),
         .offset = {},
         .shard = parameter_shard(parameter, shardings[static_cast<std::size_t>(layer)], tp, t)});
    filled += bytes_of(places.back());
    if (filled >= (layout.buckets.empty() ? sizes.first : sizes.others)) close();
  }
  if (filled.count > 0) close();
  std::sort(places.begin(), places.end(),
            [](const auto& a, const auto& b) { return a.tensor < b.tensor; });
  return layout;
}

}  // namespace foreplan
