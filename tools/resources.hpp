#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/op_graph.hpp"
#include "models/stack.hpp"
#include "sim/cluster.hpp"

namespace foreplan {

/// Where the files that foreplan ships lie: `../share/foreplan` beside an installed command, else the
/// checkout that it was built from.
std::filesystem::path shipped_files();

/// The names of what is shipped of a kind, in order of the alphabet; none if its folder is missing.
std::vector<std::string> shipped_names(const std::string& kind);

/// Whether it names a file by its looks (has a '/' or ends in .json) and not something shipped.
bool is_file_name(const std::string& name_or_file);

/// The file that `name_or_file` means: itself if it looks like a file (has a '/' or ends in .json),
/// else `<kind>/<name>.json` of what is shipped.
/// @param kind  "zoo", "devices", "clusters" or "stacks"
/// @throws Error(invalid_argument) listing the shipped names, the likeliest first, if there is none
///   of that name
std::filesystem::path find_resource(const std::string& kind, const std::string& name_or_file);

/// Empty: the default.
Stack load_stack(const std::string& name_or_file);
OpGraph load_model(const std::string& name_or_file);
DeviceSpec load_device(const std::string& name_or_file);
/// A cluster by file, by shipped name, or by shipped name and number of nodes: `dgx-a100x64` is 64
/// nodes of `dgx-a100`, however many its file has.
/// @throws Error(invalid_argument) also if the nodes are not of one kind given in shorthand
Cluster load_cluster(const std::string& name_or_file);

/// The cluster of that name is shipped, or becomes one by its number of nodes.
bool names_cluster(const std::string& name);

}  // namespace foreplan
