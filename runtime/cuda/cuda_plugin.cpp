#include "runtime/cuda/cuda_backend.hpp"
#include "runtime/cuda/gpus.hpp"
#include "runtime/cuda/plugin_interface.hpp"

namespace {

std::unique_ptr<foreplan::Backend> make_backend(const foreplan::CudaOptions& options) {
  return std::make_unique<foreplan::CudaBackend>(options);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const foreplan::CudaPlugin* foreplan_cuda() {
  static constexpr foreplan::CudaPlugin plugin{.version = FOREPLAN_VERSION,
                                               .find_gpus = &foreplan::find_gpus,
                                               .software = &foreplan::cuda_software,
                                               .make_backend = &make_backend};
  return &plugin;
}
