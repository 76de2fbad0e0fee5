#include "tools/resources.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/model_io.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> shipped_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string what_of(const std::string& kind) {
  if (kind == "zoo") return "model";
  return kind == "devices" ? "device" : "cluster";
}

}  // namespace

fs::path shipped_files() {
  std::error_code error;
  const fs::path command = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = command.parent_path().parent_path() / "share" / "foreplan";
  if (!error && fs::is_directory(installed / "zoo", error)) return installed;
  return FOREPLAN_SOURCE_DATA;
}

fs::path find_resource(const std::string& kind, const std::string& name_or_file) {
  const bool file = name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".json");
  if (file) return name_or_file;
  const fs::path folder = shipped_files() / kind;
  const fs::path path = folder / (name_or_file + ".json");
  if (name_or_file.empty() || !fs::exists(path)) {
    reject(fmt::format("no {} '{}': expected a file (*.json) or one of {}", what_of(kind),
                       name_or_file, fmt::join(shipped_names(folder), ", ")));
  }
  return path;
}

OpGraph load_model(const std::string& name_or_file) {
  return read_model(find_resource("zoo", name_or_file));
}

Cluster load_cluster(const std::string& name_or_file) {
  return read_cluster(find_resource("clusters", name_or_file), [](const std::string& name) {
    return read_device(find_resource("devices", name));
  });
}

}  // namespace foreplan
