#include "sim/collective_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "sim/collective_phases.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Algorithm = CollectiveAlgorithm;
using Kind = CollectiveKind;

constexpr std::int64_t kLeastChunk = 4;  // [B]
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A message's time as a straight line; picoseconds, as whole numbers where they are times.
struct Line {
  double alpha = 0;     ///< latency [ps]
  double per_byte = 0;  ///< beta [ps/B]
  double half = 0;      ///< S_half [B]
  double setup() const { return alpha + half * per_byte; }
  /// To the nearest picosecond, as a simulated message ends.
  double time(double bytes) const { return alpha + std::floor((bytes + half) * per_byte + 0.5); }
  /// `messages` one behind the other, of `bytes` in all.
  double sum(double messages, double bytes) const { return messages * setup() + bytes * per_byte; }
  Line with_bandwidth_over(double n) const { return {alpha, per_byte * n, half}; }
};

Duration duration(double picoseconds) {
  if (!(picoseconds < 0x1p63)) reject("collective: its time is out of range");
  return Duration(static_cast<std::int64_t>(std::floor(picoseconds + 0.5)));
}

Line line(const Hop& hop, double bandwidth) {
  if (!(bandwidth > 0)) {
    reject(fmt::format("collective: expected a positive bandwidth, got {} B/s", bandwidth));
  }
  return {static_cast<double>(hop.latency.count()), 1e12 / bandwidth,
          static_cast<double>(hop.half_size.count)};
}

void check_size(Bytes size) {
  if (size.count < 0) reject(fmt::format("collective: expected bytes >= 0, got {}", size.count));
}

/// The formulas, in picoseconds.
class Formulas {
 public:
  Formulas(Bytes size, const GroupPlacement& placement, const CollectiveTuning& tuning)
      : s_(static_cast<double>(size.count)),
        placement_(placement),
        tuning_(tuning),
        g_(placement.grid.ranks_per_node),
        nodes_(placement.grid.nodes),
        n_(g_ * nodes_) {}

  double time(Kind kind, Algorithm algorithm) const {
    switch (kind) {
      case Kind::all_reduce:
        return all_reduce(algorithm);
      case Kind::reduce_scatter:
      case Kind::all_gather:
        return half(algorithm);
      case Kind::all_to_all:
        return direct();
      case Kind::broadcast:
      case Kind::reduce:
        if (algorithm == Algorithm::ring) return chain(chunks(kind, algorithm));
        if (algorithm == Algorithm::tree) return tree();
        return kind == Kind::broadcast ? from_root(s_) : to_root(s_);
      case Kind::gather:
      case Kind::scatter:
        if (algorithm == Algorithm::tree) return tree_parts();
        return kind == Kind::scatter ? from_root(s_ / n_) : to_root(s_ / n_);
    }
    return 0;
  }

  int chunks(Kind kind, Algorithm algorithm) const {
    if (tuning_.chunks > 0) return tuning_.chunks;
    if (algorithm == Algorithm::ring && (kind == Kind::broadcast || kind == Kind::reduce)) {
      return chain_chunks();
    }
    if (algorithm == Algorithm::double_tree) return double_tree_chunks(one_level(), n_, s_);
    if (algorithm == Algorithm::hierarchical && tuning_.across == Algorithm::double_tree) {
      return double_tree_chunks(across(g_), nodes_, s_ / g_);
    }
    return 1;
  }

 private:
  static int lg(int n) { return tree_rounds(n); }

  Line inside(int channels = 1) const {
    return line(placement_.intra, placement_.intra.bandwidth.bytes_per_s /
                                      (static_cast<double>(placement_.link_sharing) * channels));
  }
  Line across(int flows) const {
    return line(placement_.inter, across_bandwidth(placement_, flows));
  }
  Line one_level() const { return nodes_ == 1 ? inside() : across(1); }

  double ring_half() const {
    const int c = tuning_.channels;
    const double bytes = s_ / n_ / c;
    double slowest = g_ > 1 ? inside(c).time(bytes) : 0;
    if (nodes_ > 1) {
      const double fair = g_ > 1 ? placement_.intra.bandwidth.bytes_per_s / c : kInfinity;
      const Line hop = line(placement_.inter, std::min(fair, across_bandwidth(placement_, c)));
      slowest = std::max(slowest, hop.time(bytes));
    }
    return (n_ - 1) * slowest;
  }

  double direct() const {
    const double inner = g_ > 1 ? (g_ - 1) * inside().time(s_ / n_) : 0;
    return inner + (nodes_ > 1 ? g_ * (nodes_ - 1.0) * across(g_).time(s_ / n_) : 0);
  }

  double doubling_half() const {
    const double part = s_ / n_;
    const double inner = g_ > 1 ? inside().sum(lg(g_), (g_ - 1) * part) : 0;
    return inner + (nodes_ > 1 ? across(g_).sum(lg(nodes_), (n_ - g_) * part) : 0);
  }

  double half(Algorithm algorithm) const {
    if (algorithm == Algorithm::ring) return ring_half();
    return algorithm == Algorithm::direct ? direct() : doubling_half();
  }

  double all_reduce(Algorithm algorithm) const {
    switch (algorithm) {
      case Algorithm::ring:
      case Algorithm::direct:
        return 2 * half(algorithm);
      case Algorithm::tree:
        return 2 * tree();
      case Algorithm::hierarchical:
        return 2 * (g_ - 1) * inside().time(s_ / g_) +
               one_level_all_reduce(tuning_.across, across(g_), nodes_, s_ / g_);
      default:
        break;
    }
    if (g_ == 1 || nodes_ == 1) return one_level_all_reduce(algorithm, one_level(), n_, s_);
    if (algorithm == Algorithm::halving_doubling) return 2 * doubling_half();
    return lg(g_) * inside().time(s_) + lg(nodes_) * across(g_).time(s_);
  }

  double one_level_all_reduce(Algorithm algorithm, const Line& hop, int n, double bytes) const {
    const int core = power_of_two_below(n);
    const double fold = core == n ? 0 : 2 * hop.time(bytes);
    switch (algorithm) {
      case Algorithm::tree:
        return 2 * lg(n) * hop.time(bytes);
      case Algorithm::double_tree:
        return double_tree(hop, n, bytes,
                           tuning_.chunks > 0 ? tuning_.chunks : double_tree_chunks(hop, n, bytes));
      case Algorithm::recursive_doubling:
        return lg(core) * hop.time(bytes) + fold;
      case Algorithm::halving_doubling:
        return 2 * hop.sum(lg(core), bytes * (core - 1) / core) + fold;
      default:
        return 2 * (n - 1) * hop.time(bytes / n);
    }
  }

  static int double_tree_height(int n) { return lg((n + 1) / 2); }

  static double double_tree(const Line& hop, int n, double bytes, int k) {
    const double chunk = bytes / 2 / k;
    const double alone = hop.time(chunk);
    if (n == 2) return 2 * k * alone;
    const double both = hop.with_bandwidth_over(2).time(chunk);
    return 2 * (double_tree_height(n) + k - 1) * both + (n % 2 == 0 ? 2 * alone : 0);
  }

  /// Of floor and ceiling of sqrt(slope / setup) that with the lesser `cost`, within bounds.
  template <typename Cost>
  static int whole_chunks(double slope, double setup, double bytes, Cost cost) {
    const double most = std::clamp(bytes / static_cast<double>(kLeastChunk), 1.0,
                                   static_cast<double>(kMostCollectiveChunks));
    const double best = slope <= 0 ? 1 : setup > 0 ? std::sqrt(slope / setup) : most;
    const int below = static_cast<int>(std::clamp(best, 1.0, most));
    const int above = std::min(below + 1, static_cast<int>(most));
    return cost(above) < cost(below) ? above : below;
  }

  static int double_tree_chunks(const Line& hop, int n, double bytes) {
    const double slope = double_tree_height(n) - 1 + (n % 2 == 0 ? 0.5 : 0);
    return whole_chunks(slope * hop.per_byte * bytes, hop.setup(), bytes,
                        [&](int k) { return double_tree(hop, n, bytes, k); });
  }

  double chain(int k) const {
    const double inner = g_ > 1 ? inside().time(s_ / k) : 0;
    const double outer = nodes_ > 1 ? across(1).time(s_ / k) : 0;
    return nodes_ * (g_ - 1.0) * inner + (nodes_ - 1) * outer + (k - 1) * std::max(inner, outer);
  }

  int chain_chunks() const {
    const Line inner = g_ > 1 ? inside() : Line{};
    const Line outer = nodes_ > 1 ? across(1) : Line{};
    const Line& slowest = outer.per_byte > inner.per_byte ? outer : inner;
    const double sum =
        nodes_ * (g_ - 1.0) * inner.per_byte + (nodes_ - 1) * outer.per_byte - slowest.per_byte;
    return whole_chunks(sum * s_, slowest.setup(), s_, [&](int k) { return chain(k); });
  }

  double tree() const {
    const double inner = g_ > 1 ? lg(g_) * inside().time(s_) : 0;
    return inner + (nodes_ > 1 ? lg(nodes_) * across(1).time(s_) : 0);
  }

  double tree_parts() const { return one_level().sum(lg(n_), s_ * (n_ - 1) / n_); }

  /// All at once, out of one device and its NIC.
  double from_root(double bytes) const {
    const double inner = g_ > 1 ? at_once(inside(), n_ - 1, bytes) : 0;
    return nodes_ > 1 ? std::max(inner, at_once(across(1), n_ - g_, bytes)) : inner;
  }
  static double at_once(const Line& hop, int messages, double bytes) {
    return hop.with_bandwidth_over(messages).time(bytes);
  }

  double to_root(double bytes) const {
    const double inner = g_ > 1 ? (g_ - 1) * inside().time(bytes) : 0;
    return inner + (nodes_ > 1 ? (n_ - g_) * across(1).time(bytes) : 0);
  }

  double s_;
  const GroupPlacement& placement_;
  CollectiveTuning tuning_;
  int g_, nodes_, n_;
};

void check(Kind kind, Algorithm algorithm, Bytes size, const GroupPlacement& placement,
           const CollectiveTuning& tuning) {
  check_size(size);
  const GroupGrid& grid = placement.grid;
  if (grid.ranks_per_node < 1 || grid.nodes < 1) {
    reject(fmt::format("collective: expected at least one rank, got {} on {} nodes",
                       grid.ranks_per_node, grid.nodes));
  }
  if (std::min({placement.nics, placement.nic_sharing, placement.uplink_sharing,
                placement.link_sharing}) < 1) {
    reject("collective: expected at least one NIC and one group that shares it");
  }
  if (const auto reason = collective_refusal(kind, algorithm, grid, tuning))
    reject("collective: " + *reason);
}

GroupPlacement under(const Protocol& protocol, GroupPlacement placement) {
  const double share = protocol.bandwidth_share;
  if (!(share > 0 && share <= 1)) {
    reject(fmt::format("collective: expected a bandwidth share in (0, 1], got {}", share));
  }
  placement.intra.latency = protocol.intra_latency;
  placement.inter.latency = protocol.inter_latency;
  for (Bandwidth* bandwidth : {&placement.intra.bandwidth, &placement.inter.bandwidth,
                               &placement.nic, &placement.uplink}) {
    bandwidth->bytes_per_s *= share;
  }
  return placement;
}

}  // namespace

Duration point_to_point_time(Bytes size, const Hop& hop) {
  check_size(size);
  return hop.setup +
         duration(line(hop, hop.bandwidth.bytes_per_s).time(static_cast<double>(size.count)));
}

double across_bandwidth(const GroupPlacement& p, int flows) {
  const double nic = p.nic.bytes_per_s;
  const double uplink = p.uplink.bytes_per_s;
  const int per_nic = (flows + p.nics - 1) / p.nics;
  return std::min(
      {p.inter.bandwidth.bytes_per_s,
       nic > 0 ? nic / (p.nic_sharing * static_cast<double>(per_nic)) : kInfinity,
       uplink > 0 ? uplink / (p.uplink_sharing * static_cast<double>(flows)) : kInfinity});
}

Duration collective_time(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                         const GroupPlacement& placement, const CollectiveTuning& tuning) {
  check(kind, algorithm, size, placement, tuning);
  if (placement.grid.ranks() == 1) return {};
  return duration(Formulas(size, placement, tuning).time(kind, algorithm));
}

int best_chunks(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                const GroupPlacement& placement, const CollectiveTuning& tuning) {
  check(kind, algorithm, size, placement, tuning);
  if (placement.grid.ranks() == 1) return 1;
  CollectiveTuning open = tuning;
  open.chunks = 0;
  return Formulas(size, placement, open).chunks(kind, algorithm);
}

Duration collective_time(CollectiveKind kind, CollectiveAlgorithm algorithm, Bytes size,
                         const GroupPlacement& placement, const CollectiveTuning& tuning,
                         std::span<const Protocol> protocols) {
  if (protocols.empty()) return collective_time(kind, algorithm, size, placement, tuning);
  Duration least = Duration::max();
  for (const Protocol& protocol : protocols) {
    least =
        std::min(least, collective_time(kind, algorithm, size, under(protocol, placement), tuning));
  }
  return least;
}

CollectiveChoice best_algorithm(CollectiveKind kind, Bytes size, const GroupPlacement& placement) {
  check(kind, Algorithm::direct, size, placement, {});
  if (placement.grid.ranks() == 1) return {};
  CollectiveChoice best{.time = Duration::max()};
  const auto consider = [&](Algorithm algorithm, CollectiveTuning tuning) {
    if (collective_refusal(kind, algorithm, placement.grid, tuning)) return;
    tuning.chunks = 0;
    tuning.chunks = Formulas(size, placement, tuning).chunks(kind, algorithm);
    const Duration time = duration(Formulas(size, placement, tuning).time(kind, algorithm));
    if (time < best.time) best = {algorithm, tuning, time};
  };
  for (int a = 0; a < kCollectiveAlgorithms; ++a) {
    const auto algorithm = static_cast<Algorithm>(a);
    if (algorithm != Algorithm::hierarchical) consider(algorithm, {});
    if (algorithm == Algorithm::ring) {
      const int channels = std::min(placement.nics, placement.grid.ranks_per_node);
      if (channels > 1) consider(algorithm, {.channels = channels});
    }
  }
  for (int a = 0; a < kCollectiveAlgorithms; ++a) {
    consider(Algorithm::hierarchical, {.across = static_cast<Algorithm>(a)});
  }
  return best;
}

}  // namespace foreplan
