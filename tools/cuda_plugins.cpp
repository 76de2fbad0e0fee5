#include "tools/cuda_plugins.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "sim/error.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void unavailable(const std::string& why) { throw Error(ErrorCode::unavailable, why); }

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Adds nvidia/cu13/lib of every Python below `root`: root/python3.11/<packages>/nvidia/cu13/lib.
void add_pythons(const fs::path& root, std::vector<fs::path>& folders) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    if (!entry.path().filename().string().starts_with("python3")) continue;
    for (const char* packages : {"site-packages", "dist-packages"}) {
      found.push_back(entry.path() / packages / "nvidia" / "cu13" / "lib");
    }
  }
  std::sort(found.begin(), found.end());
  folders.insert(folders.end(), found.begin(), found.end());
}

fs::path find_plugin(const char* file) {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {folder / file, folder.parent_path() / "lib" / file}) {
    if (fs::exists(place, error)) return place;
  }
  unavailable("plugin not built (preset cuda builds it, where there is a CUDA toolkit)");
}

/// Opens `library` from the first folder that has it, for others to find by its name.
bool open_from_folders(const std::string& library) {
  std::error_code error;
  for (const fs::path& folder : cuda_folders()) {
    const fs::path file = folder / library;
    if (fs::exists(file, error) && dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) {
      return true;
    }
  }
  return false;
}

std::string first_line(const char* text) {
  const std::string_view whole = text != nullptr ? text : "unknown reason";
  return std::string(whole.substr(0, whole.find('\n')));
}

template <typename Plugin>
const Plugin& checked(const Plugin* plugin, const char* file) {
  if (plugin != nullptr && std::string_view(plugin->version) == FOREPLAN_VERSION) return *plugin;
  unavailable(fmt::format("{}: expected the plugin of foreplan {}, got {}", file, FOREPLAN_VERSION,
                          plugin != nullptr ? plugin->version : "none"));
}

}  // namespace

std::vector<fs::path> cuda_folders() {
  std::vector<fs::path> folders;
  std::string named = variable(kCudaLibrariesVariable);
  while (!named.empty()) {
    const std::size_t colon = named.find(':');
    if (colon != 0) folders.emplace_back(named.substr(0, colon));
    named = colon == std::string::npos ? "" : named.substr(colon + 1);
  }
  for (const char* environment : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    const std::string root = variable(environment);
    if (root.empty()) continue;
    add_pythons(fs::path(root) / "lib", folders);
    folders.push_back(fs::path(root) / "lib");
  }
  for (const char* root : {"/usr/local/lib", "/usr/lib"}) add_pythons(root, folders);
  return folders;
}

void* plugin_entry(const fs::path& plugin, const char* symbol,
                   const std::vector<std::string>& libraries) {
  void* opened = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const std::string why = first_line(dlerror());
    bool helped = false;
    for (const std::string& library : libraries) helped = open_from_folders(library) || helped;
    if (helped) opened = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) {
      unavailable(fmt::format("{} (the variable {} may name the folder of a missing library)", why,
                              kCudaLibrariesVariable));
    }
  }
  void* const entry = dlsym(opened, symbol);
  if (entry == nullptr) unavailable(plugin.string() + ": not a plugin of foreplan");
  return entry;
}

const CudaPlugin& cuda_plugin() {
  void* const entry =
      plugin_entry(find_plugin(kCudaPluginFile), kCudaPluginSymbol, {"libcublasLt.so.13"});
  return checked(reinterpret_cast<CudaPluginEntry>(entry)(), kCudaPluginFile);
}

const CuptiPlugin& cupti_plugin() {
  void* const entry =
      plugin_entry(find_plugin(kCuptiPluginFile), kCuptiPluginSymbol, {"libcupti.so.13"});
  return checked(reinterpret_cast<CuptiPluginEntry>(entry)(), kCuptiPluginFile);
}

}  // namespace foreplan
