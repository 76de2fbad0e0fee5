#include <algorithm>
#include <utility>

#include "planner/best_first_search.hpp"

namespace foreplan {

/// How many there are, with the most stages of a layout first.
std::vector<std::int64_t> BestFirst::orders_by_stages(const Sizes& layout) const {
  std::vector<std::int64_t> orders;
  const int fewest = space_.fewest_stages(layout);
  for (Sizes sizes = layout; sizes.pp >= fewest; --sizes.pp) {
    orders.push_back(space_.orders(sizes).orders);
  }
  return orders;
}

/// A leaf whose order is still open.
void BestFirst::split_orders(SearchNode node) {
  const OrderSet& orders = *std::exchange(node.orders, nullptr);
  node.count = 1;
  for (const RankOrder& order : orders) {
    tell_order(node, order);
    const Duration bound = options_.exhaustive ? Duration{} : bound_of(node).time(node.keeping);
    push({bound, node.sizes.devices()}, node);
  }
}

void BestFirst::tell_order(SearchNode& node, const RankOrder& order) {
  node.sizes.order = order;
  node.units = &bounds_.units(node.sizes, node.share);
  node.facts = &bounds_.facts(node.sizes);
}

/// All of a set, whose units are no faster than the first's; of groups and hops the fastest count.
void BestFirst::tell_orders(SearchNode& node, const OrderSet& orders) {
  tell_order(node, orders.front());
  if (orders.size() == 1) return;
  node.orders = &orders;
  node.facts = &bounds_.facts(node.sizes, orders);
}

void BestFirst::add_orders(SearchNode node) {
  std::vector<OrdersNode> open;
  for (const OrderSet& orders : space_.orders(node.sizes).sets) {
    OrdersNode next{.node = node, .orders = orders};
    tell_order(next.node, orders.front());
    next.bound = bounds_.of(node.sizes, node.share, next.node.units->totals[0]);
    const auto host = std::find_if(open.begin(), open.end(),
                                   [&](const OrdersNode& other) { return takes_in(other, next); });
    if (host == open.end() || options_.exhaustive) {
      open.push_back(std::move(next));
    } else {
      take_in(*host, next.orders, space_.count(node.sizes, node.share));
    }
  }
  for (OrdersNode& each : open) {
    tell_orders(each.node, *order_sets_.insert(std::move(each.orders)).first);
    each.node.count = each.node.ways() * space_.count(node.sizes, node.share);
    add_order(std::move(each.node));
  }
}

/// Units that exchange faster bound both, and below what is hardly slower there is as much to look at.
bool BestFirst::takes_in(const OrdersNode& host, const OrdersNode& guest) const {
  constexpr double kHardly = 1.1;
  return seconds(guest.bound) <= kHardly * seconds(host.bound) && bounds_.kinds() == 1 &&
         host.node.units->table->exchanges_within(*guest.node.units->table);
}

/// What meets the same as an earlier order with faster units is no faster, and loses ties.
void BestFirst::take_in(OrdersNode& host, const OrderSet& guests, std::int64_t strategies) {
  const OrderSet before = host.orders;
  for (const RankOrder& guest : guests) {
    if (space_.stand_for(host.node.sizes, before, guest)) {
      certificate_.bounded_out += strategies;
    } else {
      host.orders.push_back(guest);
    }
  }
}

}  // namespace foreplan
