#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/op_graph.hpp"
#include "sim/cluster.hpp"

namespace foreplan {

/// Where the files that foreplan ships lie: `../share/foreplan` beside an installed command, else the
/// checkout that it was built from.
std::filesystem::path shipped_files();

/// The file that `name_or_file` means: itself if it looks like a file (has a '/' or ends in .json),
/// else `<kind>/<name>.json` of what is shipped.
/// @param kind  "zoo", "devices" or "clusters"
/// @throws Error(invalid_argument) listing the shipped names if there is none of that name
std::filesystem::path find_resource(const std::string& kind, const std::string& name_or_file);

OpGraph load_model(const std::string& name_or_file);
Cluster load_cluster(const std::string& name_or_file);

}  // namespace foreplan
