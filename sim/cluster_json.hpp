#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/cluster.hpp"

namespace foreplan {

/// What a device file has under `kernels`.
nlohmann::ordered_json kernels_json(const KernelFacts& kernels);

/// A `foreplan.cluster/1` file in its explicit form, devices written out, that `read_cluster` reads back
/// as the same cluster.
/// @param source  where the numbers come from; empty: nobody says
std::string to_json(const Cluster& cluster, const std::string& source);

}  // namespace foreplan
