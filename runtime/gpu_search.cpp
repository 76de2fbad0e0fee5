#include "runtime/gpu_search.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>

namespace foreplan {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kMostGpus = 64;

}  // namespace

GpuSearch find_gpus() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& plugin :
       {folder / kCudaPluginFile, folder.parent_path() / "lib" / kCudaPluginFile}) {
    if (fs::exists(plugin, error)) return find_gpus(plugin);
  }
  return {.gpus = {}, .why_none = "the CUDA plugin is not built (preset cuda builds it)"};
}

GpuSearch find_gpus(const fs::path& plugin) {
  // Never closed: the CUDA runtime does not unload cleanly.
  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {.gpus = {}, .why_none = dlerror()};
  const auto ask = reinterpret_cast<FindGpus>(dlsym(library, kFindGpusSymbol));
  if (ask == nullptr) {
    return {.gpus = {}, .why_none = plugin.string() + ": not a CUDA plugin of foreplan"};
  }
  GpuSearch found;
  found.gpus.resize(kMostGpus);
  std::array<char, 256> why{};
  const std::int32_t count =
      ask(found.gpus.data(), kMostGpus, why.data(), static_cast<std::int32_t>(why.size()));
  found.gpus.resize(static_cast<std::size_t>(std::clamp(count, 0, kMostGpus)));
  if (found.gpus.empty()) found.why_none = why[0] != '\0' ? why.data() : "no GPU found";
  return found;
}

}  // namespace foreplan
