#include "planner/rank_layout.hpp"

#include <algorithm>
#include <optional>

namespace foreplan {
namespace {

/// What is left of `group` if only every n-th of its ranks counts; empty: they lie unevenly.
std::optional<RankGroup> every(const RankGroup& group, int n) {
  RankGroup rest;
  for (int i = 0; i < group.count; ++i) {
    GroupShape shape = group.dimensions[static_cast<std::size_t>(i)];
    const int common = std::min(n, shape.size);
    if (n % common != 0 || shape.size % common != 0) return std::nullopt;
    n /= common;
    shape.size /= common;
    shape.stride *= common;
    if (shape.size > 1) rest.dimensions[static_cast<std::size_t>(rest.count++)] = shape;
  }
  return rest;
}

/// Its first n ranks; empty: they do not fill a part of it.
std::optional<RankGroup> first(const RankGroup& group, int n) {
  RankGroup part;
  for (int i = 0; i < group.count && n > 1; ++i) {
    GroupShape shape = group.dimensions[static_cast<std::size_t>(i)];
    shape.size = std::min(n, shape.size);
    if (n % shape.size != 0) return std::nullopt;
    // Groups behind it begin where it ends.
    const int all = group.dimensions[static_cast<std::size_t>(i)].size;
    if (all % shape.size != 0) return std::nullopt;
    n /= shape.size;
    part.dimensions[static_cast<std::size_t>(part.count++)] = shape;
  }
  return part;
}

/// Ranks of one dimension on a node; 0: they do not fill nodes evenly.
int on_node(const GroupShape& shape, int devices) {
  if (shape.stride % devices == 0) return 1;
  if (devices % shape.stride != 0) return 0;
  const int most = devices / shape.stride;
  if (most % shape.size == 0) return shape.size;
  return shape.size % most == 0 ? most : 0;
}

}  // namespace

int RankGroup::device(int i) const {
  int at = 0, left = i * step;
  for (int d = 0; d < count; ++d) {
    const GroupShape& shape = dimensions[static_cast<std::size_t>(d)];
    at += left % shape.size * shape.stride;
    left /= shape.size;
  }
  return at;
}

int RankGroup::on_node(int devices) const {
  const std::optional<RankGroup> rest = every(*this, step);
  const std::optional<RankGroup> part = rest ? first(*rest, size) : std::nullopt;
  if (!part) return 1;
  int ranks = 1;
  for (int d = 0; d < part->count; ++d) {
    ranks *= foreplan::on_node(part->dimensions[static_cast<std::size_t>(d)], devices);
  }
  return std::max(1, ranks);
}

RankLayout::RankLayout(const Strategy& strategy)
    : order_(strategy.order),
      size_{strategy.tp, strategy.cp, strategy.dp, strategy.pp},
      experts_(strategy.ep),
      whole_experts_(strategy.deals_whole_experts()) {
  int stride = 1;
  for (const Dimension dimension : order_.dimensions) {
    stride_[static_cast<std::size_t>(dimension)] = stride;
    stride *= size(dimension);
  }
}

RankGroup RankLayout::spanned(const std::array<bool, 3>& asked) const {
  RankGroup group;
  GroupShape* last = nullptr;
  for (const Dimension dimension : order_.dimensions) {
    if (dimension == Dimension::pp || !asked[static_cast<std::size_t>(dimension)]) continue;
    const GroupShape shape{.size = size(dimension), .stride = stride(dimension)};
    if (shape.size == 1) continue;
    group.size *= shape.size;
    if (last != nullptr && last->size * last->stride == shape.stride) {
      last->size *= shape.size;
      continue;
    }
    last = &group.dimensions[static_cast<std::size_t>(group.count++)];
    *last = shape;
  }
  return group;
}

RankGroup RankLayout::expert() const {
  RankGroup group = dealt();
  group.size = experts_;
  return group;
}

RankGroup RankLayout::expert_data() const {
  RankGroup group = dealt();
  group.size /= experts_;
  group.step = experts_;
  return group;
}

bool RankPlaces::together(int a, int b, int node_devices) const {
  if (stage_stride == 0) return true;
  if (stage_stride >= node_devices) return false;
  const int first = stage_stride * std::min(a, b);
  const int last = stage_stride * (std::max(a, b) + 1) - 1;
  for (int at = 0;;) {
    if ((at + first) / node_devices != (at + last) / node_devices) return false;
    at = (at + pipeline_stride) % node_devices;
    if (at == 0) return true;
  }
}

RankPlaces places_of(const RankLayout& layout, int node_devices) {
  RankPlaces places{.tensor = layout.tensor().on_node(node_devices),
                    .context = layout.context().on_node(node_devices),
                    .expert = layout.expert().on_node(node_devices),
                    .data = layout.data().on_node(node_devices),
                    .expert_data = layout.expert_data().on_node(node_devices)};
  const int stride = layout.stride(Dimension::pp);
  const int pipeline = stride * layout.size(Dimension::pp);
  const bool last = pipeline == layout.devices();
  if (layout.devices() <= node_devices) return places;
  if (!last && node_devices % pipeline == 0) return places;
  places.stage_stride = std::min(stride, node_devices);
  if (!last && stride < node_devices) places.pipeline_stride = pipeline % node_devices;
  return places;
}

}  // namespace foreplan
