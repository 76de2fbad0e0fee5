#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace foreplan {

/// Flows that share capacities by max-min fairness.
///
/// A link's capacity is a constraint, a flow is a variable. With flows f of rates x_f >= 0 [B/s],
/// each over a set R_f of capacities C_c [B/s]:
///
///   sum of x_f over all f with c in R_f  <=  C_c        for every capacity c
///
/// and no x_f can grow unless some x_g <= x_f shrinks. That point is unique. Progressive filling
/// finds it: raise all rates together; a capacity is full when they reach its share
///
///   (C_c - sum of the fixed rates over c) / (number of flows over c that are not fixed),
///
/// so fix the flows of the capacity with the least share at that share, and go on with the others.
///
/// Flows that are joined by no chain of shared capacities do not feel each other, so only the parts
/// that have changed are solved: O(rounds * capacities + flows * hops) of the part, with one round a
/// distinct rate.
///
/// Source: Bertsekas and Gallager, Data Networks, 2nd edition, section 6.5.2.
class Network {
 public:
  /// @param capacities  C_c > 0 [B/s]
  explicit Network(std::vector<double> capacities);

  /// Adds a flow. Its rate is 0 until the next `solve`.
  /// @param route  R_f: at least one capacity, none twice; borrowed until the flow is removed
  /// @return the flow's number; numbers of removed flows are used again
  std::int32_t add(std::span<const std::int32_t> route);
  void remove(std::int32_t flow);

  /// Solves what additions and removals since the last call have changed.
  /// @return the flows whose rate is another now; valid until the next call of any function
  std::span<const std::int32_t> solve();

  /// x_f as of the last `solve` [B/s].
  double rate(std::int32_t flow) const { return flows_[static_cast<std::size_t>(flow)].rate; }

 private:
  struct Flow {
    std::span<const std::int32_t> route;
    double rate = 0;
    std::uint64_t fixed = 0;  ///< the last solve that fixed it
    std::uint64_t seen = 0;   ///< the last solve that it took part in
  };
  struct Capacity {
    double total = 0;
    std::vector<std::int32_t> flows;
    double left = 0;         ///< while solving: not taken by fixed flows
    std::int32_t open = 0;   ///< while solving: flows that are not fixed
    std::uint64_t seen = 0;  ///< the last solve that it took part in
    bool dirty = false;
  };

  void mark(std::span<const std::int32_t> route);
  void collect_part();
  void join(std::int32_t capacity);
  double least_share();
  void fix(std::int32_t flow, double rate);

  std::vector<Capacity> capacities_;
  std::vector<Flow> flows_;
  std::vector<std::int32_t> unused_;  ///< numbers of removed flows
  std::vector<std::int32_t> dirty_;   ///< capacities with a change
  std::vector<std::int32_t> part_;    ///< capacities that are being solved
  std::vector<std::int32_t> full_;    ///< capacities that bind in this round
  std::vector<std::int32_t> changed_;
  std::uint64_t solve_ = 0;
};

}  // namespace foreplan
