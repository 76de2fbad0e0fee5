#include "sim/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

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
  const std::int32_t number = unused_.back();
  unused_.pop_back();
  Flow& added = flow(number) = {.route = route, .least = kUnlimited};
  for (const std::int32_t c : route) added.least = std::min(added.least, capacity(c).total);
  for (const std::int32_t c : route) {
    Capacity& used = capacity(c);
    used.flows.push_back(number);
    added.tight += used.tight ? 1 : 0;
    change_wanted(used, added.least);
    if (used.tight) mark(c);
  }
  if (added.tight == 0) alone_.push_back(number);
  return number;
}

void Network::remove(std::int32_t number) {
  const double least = flow(number).least;
  for (const std::int32_t c : flow(number).route) {
    Capacity& used = capacity(c);
    *std::find(used.flows.begin(), used.flows.end(), number) = used.flows.back();
    used.flows.pop_back();
    if (used.tight) mark(c);
    change_wanted(used, -least);
  }
  if (!alone_.empty()) std::erase(alone_, number);
  unused_.push_back(number);
}

void Network::clear() {
  for (Capacity& c : capacities_) c = {.total = c.total, .flows = {}};
  flows_.clear();
  for (auto* list : {&unused_, &alone_, &dirty_}) list->clear();
}

void Network::mark(std::int32_t c) {
  if (std::exchange(capacity(c).dirty, true)) return;
  dirty_.push_back(c);
}

/// Keeps `wanted`, and tells the capacity's flows if it becomes tight or loose.
void Network::change_wanted(Capacity& c, double by) {
  // Sums start anew with the first flow, so that rounding does not pile up.
  c.wanted = c.flows.empty()       ? 0
             : c.flows.size() == 1 ? flow(c.flows.front()).least
                                   : c.wanted + by;
  const bool tight = c.wanted > c.total;
  if (tight == c.tight) return;
  c.tight = tight;
  for (const std::int32_t f : c.flows) flow(f).tight += tight ? 1 : -1;
}

/// Takes a tight capacity into the part.
void Network::join(std::int32_t number) {
  Capacity& c = capacity(number);
  if (c.seen == solve_) return;
  c.seen = solve_;
  c.left = c.total;
  c.open = static_cast<std::int32_t>(c.flows.size());
  part_.push_back(number);
}

void Network::visit(std::int32_t number) {
  Flow& f = flow(number);
  if (f.seen == solve_) return;
  f.seen = solve_;
  if (f.tight == 0) return give(number, f.least);
  f.fixed = false;
  open_.push_back(number);
  for (const std::int32_t c : f.route) {
    if (capacity(c).tight) join(c);
  }
}

/// @return whether the part of `c` is this capacity and its flows, with room on their routes
bool Network::solve_at_a_glance(const Capacity& c) {
  if (!c.tight) return false;
  const double share = c.total / static_cast<double>(c.flows.size());
  bool alike = true;
  for (const std::int32_t f : c.flows) alike &= flow(f).tight == 1 && flow(f).least >= share;
  if (!alike) return false;
  for (const std::int32_t f : c.flows) give(f, share);
  return true;
}

/// All tight capacities and flows that a chain of flows joins to a dirty capacity.
void Network::collect_part() {
  part_.clear();
  open_.clear();
  for (const std::int32_t number : dirty_) {
    Capacity& c = capacity(number);
    c.dirty = false;
    if (solve_at_a_glance(c)) continue;
    for (const std::int32_t f : c.flows) visit(f);
  }
  dirty_.clear();
  for (std::size_t i = 0; i < part_.size(); ++i) {
    for (const std::int32_t f : capacity(part_[i]).flows) visit(f);
  }
}

/// Puts the capacities of the least share into full_, and drops those from part_ that are done.
double Network::least_share() {
  double least = kUnlimited;
  std::size_t kept = 0;
  for (const std::int32_t number : part_) {
    const Capacity& c = capacity(number);
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

/// The least of `least` and L_f of the flows that are not fixed, which alone stay in open_.
double Network::least_limit(double least) {
  std::size_t kept = 0;
  for (const std::int32_t f : open_) {
    open_[kept] = f;
    kept += flow(f).fixed ? 0 : 1;
    least = std::min(least, flow(f).fixed ? kUnlimited : flow(f).least);
  }
  open_.resize(kept);
  return least;
}

void Network::give(std::int32_t number, double rate) {
  if (flow(number).rate != rate) changed_.push_back(number);
  flow(number).rate = rate;
}

void Network::fix(std::int32_t number, double rate) {
  Flow& f = flow(number);
  if (f.fixed) return;
  f.fixed = true;
  give(number, rate);
  for (const std::int32_t c : f.route) {
    capacity(c).left -= rate;
    --capacity(c).open;
  }
}

/// Raises the rates of the part together until each flow is held by a capacity or by L_f.
void Network::fill() {
  double rate = 0;
  while (!part_.empty()) {
    full_.clear();
    const double share = least_share();
    const double least = least_limit(share);
    // Shares only rise from round to round; rounding must not make one fall, let alone to 0.
    rate = std::max(rate, least);
    if (least < share) {
      for (const std::int32_t f : open_) {
        if (flow(f).least == least) fix(f, rate);
      }
      continue;
    }
    for (const std::int32_t c : full_) {
      for (const std::int32_t f : capacity(c).flows) fix(f, rate);
    }
  }
}

std::span<const std::int32_t> Network::solve() {
  ++solve_;
  changed_.clear();
  for (const std::int32_t f : alone_) {
    if (flow(f).tight == 0) give(f, flow(f).least);
  }
  alone_.clear();
  if (dirty_.empty()) return changed_;
  collect_part();
  fill();
  return changed_;
}

}  // namespace foreplan
