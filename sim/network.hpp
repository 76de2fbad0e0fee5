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
/// Not every capacity matters. Let L_f be the least capacity of f's route: no flow gets more. A
/// capacity is *tight* where the sum of L_f over its flows exceeds it, and *loose* otherwise; a loose
/// one is never the only one to bind, so it is left out, and a flow without tight capacities has L_f.
/// Flows that are joined by no chain of tight capacities do not feel each other, so only the parts that
/// have changed are solved: O(rounds * (capacities + flows) + flows * hops) of the part, with one round
/// a distinct rate. The commonest part, a tight capacity whose flows have no other, is shared evenly at
/// a glance where L_f allows.
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

  /// Takes all flows away.
  void clear();

  /// Solves what additions and removals since the last call have changed.
  /// @return the flows whose rate is another now; valid until the next call of any function
  std::span<const std::int32_t> solve();

  /// x_f as of the last `solve` [B/s].
  double rate(std::int32_t flow) const { return flows_[static_cast<std::size_t>(flow)].rate; }

 private:
  struct Flow {
    std::span<const std::int32_t> route;
    double rate = 0;
    double least = 0;        ///< L_f
    std::int32_t tight = 0;  ///< how many capacities of its route are
    bool fixed = false;      ///< while solving
    std::uint64_t seen = 0;  ///< the last solve that it took part in
  };
  struct Capacity {
    double total = 0;
    std::vector<std::int32_t> flows;
    double wanted = 0;  ///< sum of L_f
    bool tight = false;
    bool dirty = false;
    std::int32_t open = 0;   ///< while solving: flows that are not fixed
    double left = 0;         ///< while solving: not taken by fixed flows
    std::uint64_t seen = 0;  ///< the last solve that it took part in
  };

  Capacity& capacity(std::int32_t c) { return capacities_[static_cast<std::size_t>(c)]; }
  Flow& flow(std::int32_t f) { return flows_[static_cast<std::size_t>(f)]; }
  void mark(std::int32_t c);
  void change_wanted(Capacity& c, double by);
  bool solve_at_a_glance(const Capacity& c);
  void collect_part();
  void join(std::int32_t c);
  void visit(std::int32_t f);
  double least_share();
  double least_limit(double least);
  void fill();
  void fix(std::int32_t f, double rate);
  void give(std::int32_t f, double rate);

  std::vector<Capacity> capacities_;
  std::vector<Flow> flows_;
  std::vector<std::int32_t> unused_;  ///< numbers of removed flows
  std::vector<std::int32_t> alone_;   ///< added since the last solve without a tight capacity
  std::vector<std::int32_t> dirty_;   ///< capacities with a change that is felt
  std::vector<std::int32_t> part_;    ///< tight capacities that are being solved
  std::vector<std::int32_t> open_;    ///< flows that are being solved
  std::vector<std::int32_t> full_;    ///< capacities that bind in this round
  std::vector<std::int32_t> changed_;
  std::uint64_t solve_ = 0;
};

}  // namespace foreplan
