#include "sim/library_collectives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "sim/collective_cost.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr double kTree = 0.92;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double positive(double bandwidth) {
  if (bandwidth > 0) return bandwidth;
  reject(fmt::format("collective: expected a positive bandwidth, got {} B/s", bandwidth));
}

void check(Bytes size) {
  if (size.count < 0) reject(fmt::format("collective: expected bytes >= 0, got {}", size.count));
}

Duration duration(double picoseconds) {
  if (!(picoseconds < 0x1p63)) reject("collective: its time is out of range");
  return Duration(std::llround(picoseconds));
}

/// The formulas, in picoseconds.
class Library {
 public:
  Library(Bytes size, const GroupPlacement& placement)
      : p_(placement),
        s_(static_cast<double>(size.count)),
        g_(placement.grid.ranks_per_node),
        nodes_(placement.grid.nodes),
        n_(g_ * nodes_) {}

  double time(CollectiveKind kind) const {
    const double part = (n_ - 1.0) / n_ * s_;
    switch (kind) {
      case CollectiveKind::all_reduce:
        return setup() + all_reduce();
      case CollectiveKind::reduce_scatter:
      case CollectiveKind::all_gather:
        return setup() + around() + wire(part, border());
      case CollectiveKind::broadcast:
      case CollectiveKind::reduce:
        return setup() + around() + wire(s_, border());
      case CollectiveKind::all_to_all:
        return setup() + farthest() + exchange();
      case CollectiveKind::gather:
      case CollectiveKind::scatter:
        return setup() + farthest() + wire(part, narrowest());
    }
    return 0;
  }

  double dispatch(int copies) const {
    if (nodes_ == 1) return time(CollectiveKind::all_to_all);
    const double nodes = nodes_;
    const double distinct = nodes * (1 - std::pow(1 - 1 / nodes, copies)) / copies;
    const double inner = g_ > 1 ? wire((g_ - 1.0) / g_ * s_, inside()) : 0;
    const double outer = wire(distinct * (n_ - g_) / n_ * s_, positive(across_bandwidth(p_, g_)));
    return setup() + count(p_.intra.latency) + farthest() + std::max(inner, outer);
  }

 private:
  static double count(Duration duration) { return static_cast<double>(duration.count()); }
  static double wire(double bytes, double bandwidth) { return bytes / bandwidth * 1e12; }

  double setup() const { return count(nodes_ > 1 ? p_.inter.setup : p_.intra.setup); }
  double farthest() const { return count(nodes_ > 1 ? p_.inter.latency : p_.intra.latency); }
  /// The first chunk's way around the ring.
  double around() const {
    const double across = nodes_ > 1 ? (nodes_ - 1) * count(p_.inter.latency) : 0;
    return (n_ - nodes_) * count(p_.intra.latency) + across;
  }
  double inside() const { return positive(p_.intra.bandwidth.bytes_per_s / p_.link_sharing); }
  double border() const {
    if (nodes_ == 1) return inside();
    const int rings = std::max(1, std::min(g_, p_.nics));
    const double across = rings * positive(across_bandwidth(p_, rings));
    return g_ > 1 ? std::min(inside(), across) : across;
  }
  double narrowest() const {
    const double inner = g_ > 1 ? inside() : kInfinity;
    return nodes_ > 1 ? std::min(inner, positive(across_bandwidth(p_, 1))) : inner;
  }

  double exchange() const {
    const double inner = g_ > 1 ? wire((g_ - 1.0) / n_ * s_, inside()) : 0;
    if (nodes_ == 1) return inner;
    return std::max(inner, wire((n_ - g_) / n_ * s_, positive(across_bandwidth(p_, g_))));
  }

  double all_reduce() const {
    const double ring = 2 * around() + wire(2 * (n_ - 1.0) / n_ * s_, border());
    return std::min({ring, tree(), in_switch()});
  }

  double rounds() const { return std::bit_width(static_cast<unsigned>(nodes_ - 1)); }
  double tree_wire() const { return wire(2 * s_, kTree * border()); }
  double tree() const {
    if (nodes_ == 1) return kInfinity;
    const double inner = (g_ - 1) * count(p_.intra.latency);
    return 2 * (inner + rounds() * count(p_.inter.latency)) + tree_wire();
  }
  double in_switch() const {
    const double rate = p_.switch_reduction.bytes_per_s / p_.link_sharing;
    if (g_ == 1 || !(rate > 0)) return kInfinity;
    const double inner = wire((1 + 1.0 / g_) * s_, rate);
    const double there = 2 * count(p_.intra.latency);
    if (nodes_ == 1) return there + inner;
    return there + 2 * rounds() * count(p_.inter.latency) + std::max(inner, tree_wire());
  }

  const GroupPlacement& p_;
  double s_;
  int g_, nodes_;
  double n_;
};

}  // namespace

bool has_library(const GroupPlacement& placement) {
  const Hop& hop = placement.grid.nodes > 1 ? placement.inter : placement.intra;
  return hop.setup > Duration::zero();
}

Duration library_time(CollectiveKind kind, Bytes size, const GroupPlacement& placement) {
  check(size);
  if (placement.grid.ranks() <= 1) return {};
  return duration(Library(size, placement).time(kind));
}

Duration library_dispatch_time(Bytes size, int copies, const GroupPlacement& placement) {
  check(size);
  if (copies < 1) reject(fmt::format("collective: expected at least one copy, got {}", copies));
  if (placement.grid.ranks() <= 1) return {};
  return duration(Library(size, placement).dispatch(copies));
}

}  // namespace foreplan
