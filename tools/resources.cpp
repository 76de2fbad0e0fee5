#include "tools/resources.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <string_view>

#include "models/model_io.hpp"
#include "models/stack_io.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

std::string what_of(const std::string& kind) {
  if (kind == "zoo") return "model";
  return kind.substr(0, kind.size() - 1);
}

/// How many characters to insert, delete or replace to turn one into the other (Levenshtein 1966).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// `name` without an "x" and digits at its end; all of it where it has none.
std::string without_count(const std::string& name) {
  const std::size_t x = name.find_last_not_of("0123456789");
  const bool counts = x != std::string::npos && x + 1 < name.size() && name[x] == 'x';
  return counts ? name.substr(0, x) : name;
}

/// The name among `names` that is closest to `name`; empty if none is within a third of its characters.
std::string closest(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = std::string::npos;
  for (const std::string& candidate : names) {
    const std::size_t distance = edit_distance(name, candidate);
    if (3 * distance > candidate.size() || distance >= least) continue;
    best = candidate;
    least = distance;
  }
  return best;
}

/// The first few of `names` that contain `name`, if that is long enough to tell anything.
std::vector<std::string> containing(const std::string& name, const std::vector<std::string>& names) {
  constexpr std::size_t kShort = 3, kFew = 5;
  std::vector<std::string> found;
  for (const std::string& candidate : names) {
    const bool contains = name.size() >= kShort && candidate.find(name) != std::string::npos;
    if (contains && found.size() < kFew) found.push_back(candidate);
  }
  return found;
}

/// " (did you mean 'x'?)" where a shipped name is close.
std::string suggestion(const std::string& name, const std::vector<std::string>& names) {
  constexpr std::size_t kLongest = 100;
  if (name.size() > kLongest) return {};
  std::string best = closest(name, names);
  if (best.empty()) best = closest(without_count(name), names);
  if (best.empty()) best = fmt::format("{}", fmt::join(containing(name, names), ", "));
  return best.empty() ? best : fmt::format(" (did you mean '{}'?)", best);
}

bool ships(const std::string& kind, const std::string& name) {
  return !name.empty() && fs::exists(shipped_files() / kind / (name + ".json"));
}

/// A cluster's name and how many nodes it is to have; 0: as its file says.
struct ScaledName {
  std::string base;
  int nodes = 0;
};

/// Takes `dgx-a100x64` apart where that is no name itself and `dgx-a100` is one.
ScaledName scaled_name(const std::string& name) {
  const std::string base = without_count(name);
  if (is_file_name(name) || ships("clusters", name) || base == name || !ships("clusters", base)) {
    return {name};
  }
  const std::string digits = name.substr(base.size() + 1);
  int nodes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), nodes);
  if (error != std::errc() || nodes < 1 || nodes > kMostDevices) {
    reject(fmt::format("no cluster '{}': expected from 1 to {} nodes of {}, got {}", name,
                       kMostDevices, base, digits));
  }
  return {base, nodes};
}

}  // namespace

std::vector<std::string> shipped_names(const std::string& kind) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(shipped_files() / kind, ignored)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool is_file_name(const std::string& name_or_file) {
  return name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".json");
}

fs::path shipped_files() {
  std::error_code error;
  const fs::path command = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = command.parent_path().parent_path() / "share" / "foreplan";
  if (!error && fs::is_directory(installed / "zoo", error)) return installed;
  return FOREPLAN_SOURCE_DATA;
}

fs::path find_resource(const std::string& kind, const std::string& name_or_file) {
  if (is_file_name(name_or_file)) return name_or_file;
  if (!ships(kind, name_or_file)) {
    const std::vector<std::string> names = shipped_names(kind);
    constexpr std::size_t kFew = 40;  // more do not fit a line
    const std::string known = names.size() <= kFew
                                  ? fmt::format("one of {}", fmt::join(names, ", "))
                                  : fmt::format("one of the {} that `foreplan list {}s` tells",
                                                names.size(), what_of(kind));
    reject(fmt::format("no {} '{}'{}: expected a file (*.json) or {}", what_of(kind), name_or_file,
                       suggestion(name_or_file, names), known));
  }
  return shipped_files() / kind / (name_or_file + ".json");
}

OpGraph load_model(const std::string& name_or_file) {
  return read_model(find_resource("zoo", name_or_file));
}

Stack load_stack(const std::string& name_or_file) {
  return name_or_file.empty() ? Stack{} : read_stack(find_resource("stacks", name_or_file));
}

DeviceSpec load_device(const std::string& name_or_file) {
  return read_device(find_resource("devices", name_or_file));
}

Cluster load_cluster(const std::string& name_or_file) {
  const ScaledName name = scaled_name(name_or_file);
  return read_cluster(find_resource("clusters", name.base), load_device, name.nodes);
}

bool names_cluster(const std::string& name) { return ships("clusters", scaled_name(name).base); }

}  // namespace foreplan
