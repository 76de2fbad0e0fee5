#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// A collective that somebody measured over sizes: an entry of models/collectives.json.
struct MeasuredCollective {
  struct Point {
    Bytes size;
    Duration time{};
  };
  std::string id, source, trust, device;
  std::string fabric{};  ///< empty: the switch that joins all devices of a node
  CollectiveKind kind = CollectiveKind::all_reduce;
  int ranks = 2, nodes = 1;
  bool in_switch = false;  ///< the switch added up
  Bandwidth sold{};        ///< of a node's border, where it was crossed
  std::vector<Point> points{};
};

/// @throws Error(invalid_argument) naming file and place
std::vector<MeasuredCollective> read_collectives(const std::filesystem::path& path);

/// The line through all series of one device and fabric.
struct LinkFit {
  std::string device, fabric;
  bool in_switch = false;
  Bandwidth sold{};     ///< 0: that of the device's links
  Duration constant{};  ///< of a collective, the benchmark's launches included
  Duration step{};
  Bandwidth bandwidth{};
  bool has_constant = false, has_step = false;  ///< whether the series can tell them apart
  std::vector<std::string> series{};
  int points = 0;
  double residual = 0, largest = 0;  ///< of the relative errors: root of the mean square, largest
};

/// Fits what links reach, a line for each device, fabric and way.
///
///   t = o + k alpha + X / B      minimise sum_i ((t - t_i) / t_i)^2 over o, alpha >= 0, B > 0
///
///   ring        k = c (n - 1), X = c (n - 1)/n S       c = 2 for an all_reduce, else 1
///   in switch   X = (1 + 1/n) S
///
/// by least squares (Eigen, column-pivoted QR) with each of o and alpha in or out, of the solutions without a
/// negative one the nearest. Constants are left out where no size of the series is 64 times another, alpha
/// where no two numbers of ranks are of one size, on several nodes and in the switch. Series of low trust take no part.
/// @return  in the order of their first series
std::vector<LinkFit> fit_links(const std::vector<MeasuredCollective>& series);

}  // namespace foreplan
