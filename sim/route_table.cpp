#include "sim/route_table.hpp"

namespace foreplan {

std::int32_t RouteTable::look_up(DeviceId source, DeviceId destination) {
  const std::size_t pair = index(source) << 32 | index(destination);
  const auto known = of_pair_.find(pair);
  if (known != of_pair_.end()) return known->second;
  for (const LinkId link : cluster_.route(source, destination)) {
    links_.items.push_back(link);
    capacities_.items.push_back(cluster_.capacity_of(link));
  }
  links_.close_row();
  capacities_.close_row();
  return of_pair_[pair] = static_cast<std::int32_t>(links_.size() - 1);
}

}  // namespace foreplan
