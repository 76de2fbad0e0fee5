#include "planner/overlap.hpp"

#include <algorithm>
#include <cmath>

namespace foreplan {
namespace {

bool is_free(const CostModel::Overlap& overlap) {
  return overlap.compute == 1 && overlap.communication == 1;
}

/// How long both run, and what is left of each.
struct Together {
  double both = 0, compute = 0, exchange = 0;
};

Together together(double exchange, double compute, const CostModel::Overlap& overlap) {
  const double both = std::min(exchange * overlap.communication, compute * overlap.compute);
  return {both, compute - both / overlap.compute, exchange - both / overlap.communication};
}

double count(Duration duration) { return static_cast<double>(duration.count()); }

}  // namespace

Duration time_beside(Duration exchange, Duration compute, const CostModel::Overlap& overlap) {
  if (is_free(overlap)) return std::max(Duration::zero(), exchange - compute);
  const Together t = together(count(exchange), count(compute), overlap);
  return Duration(std::llround(t.both + t.exchange + t.compute)) - compute;
}

Lanes compute_beside(Duration start, Duration time, Duration wire,
                     const CostModel::Overlap& overlap) {
  if (is_free(overlap) || wire <= start) return {start + time, wire};
  const Together t = together(count(wire - start), count(time), overlap);
  return {start + Duration(std::llround(t.both + t.compute)),
          start + Duration(std::llround(t.both + t.exchange))};
}

}  // namespace foreplan
