#include "sim/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sim/error.hpp"

namespace foreplan {
namespace {

std::size_t at(std::int32_t number) { return static_cast<std::size_t>(number); }

}  // namespace

Network::Network(std::vector<double> capacities) {
  capacities_.resize(capacities.size());
  for (std::size_t c = 0; c < capacities.size(); ++c) {
    if (!(capacities[c] > 0)) {
      reject(fmt::format("capacity {}: expected more than 0 B/s, got {}", c, capacities[c]));
    }
    capacities_[c].total = capacities[c];
  }
}

std::int32_t Network::add(std::span<const std::int32_t> route) {
  if (route.empty()) reject("a flow needs at least one link");
  if (unused_.empty()) {
    unused_.push_back(static_cast<std::int32_t>(flows_.size()));
    flows_.emplace_back();
  }
  const std::int32_t flow = unused_.back();
  unused_.pop_back();
  flows_[at(flow)] = {.route = route};
  for (const std::int32_t c : route) capacities_[at(c)].flows.push_back(flow);
  mark(route);
  return flow;
}

void Network::remove(std::int32_t flow) {
  const std::span<const std::int32_t> route = flows_[at(flow)].route;
  for (const std::int32_t c : route) {
    std::vector<std::int32_t>& flows = capacities_[at(c)].flows;
    *std::find(flows.begin(), flows.end(), flow) = flows.back();
    flows.pop_back();
  }
  mark(route);
  unused_.push_back(flow);
}

void Network::mark(std::span<const std::int32_t> route) {
  for (const std::int32_t c : route) {
    if (capacities_[at(c)].dirty) continue;
    capacities_[at(c)].dirty = true;
    dirty_.push_back(c);
  }
}

void Network::join(std::int32_t capacity) {
  Capacity& c = capacities_[at(capacity)];
  if (c.seen == solve_) return;
  c.seen = solve_;
  c.left = c.total;
  c.open = static_cast<std::int32_t>(c.flows.size());
  if (c.open > 0) part_.push_back(capacity);
}

/// All capacities that a chain of flows joins to a dirty one.
void Network::collect_part() {
  part_.clear();
  for (const std::int32_t c : dirty_) {
    capacities_[at(c)].dirty = false;
    join(c);
  }
  dirty_.clear();
  for (std::size_t i = 0; i < part_.size(); ++i) {
    for (const std::int32_t f : capacities_[at(part_[i])].flows) {
      if (flows_[at(f)].seen == solve_) continue;
      flows_[at(f)].seen = solve_;
      for (const std::int32_t c : flows_[at(f)].route) join(c);
    }
  }
}

/// Puts the capacities of the least share into full_, and drops those from part_ that are done.
double Network::least_share() {
  double least = std::numeric_limits<double>::infinity();
  std::size_t kept = 0;
  for (const std::int32_t number : part_) {
    const Capacity& c = capacities_[at(number)];
    if (c.open == 0) continue;
    part_[kept++] = number;
    const double share = c.left / c.open;
    if (share < least) full_.clear();
    if (share <= least) full_.push_back(number);
    least = std::min(least, share);
  }
  part_.resize(kept);
  return least;
}

void Network::fix(std::int32_t flow, double rate) {
  Flow& f = flows_[at(flow)];
  if (f.fixed == solve_) return;
  f.fixed = solve_;
  if (f.rate != rate) changed_.push_back(flow);
  f.rate = rate;
  for (const std::int32_t c : f.route) {
    capacities_[at(c)].left -= rate;
    --capacities_[at(c)].open;
  }
}

std::span<const std::int32_t> Network::solve() {
  ++solve_;
  changed_.clear();
  collect_part();
  double rate = 0;
  while (true) {
    full_.clear();
    const double share = least_share();
    if (full_.empty()) return changed_;
    // Shares only rise from round to round; rounding must not make one fall, let alone to 0.
    rate = std::max(rate, share);
    for (const std::int32_t c : full_) {
      for (const std::int32_t f : capacities_[at(c)].flows) fix(f, rate);
    }
  }
}

}  // namespace foreplan
