#include "runtime/cuda/gpus.hpp"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "runtime/cuda/check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

int attribute(cudaDeviceAttr which, int gpu) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, gpu), "cudaDeviceGetAttribute");
  return value;
}

[[noreturn]] void unavailable(cudaError_t status) {
  ignore(status);
  const bool no_driver = status == cudaErrorInsufficientDriver;
  throw Error(ErrorCode::unavailable,
              fmt::format("{} (cudaGetDeviceCount: {})",
                          no_driver ? "no CUDA driver, or one older than CUDA 13" : "no GPU",
                          cudaGetErrorString(status)));
}

GpuDescription describe(int gpu) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, gpu), "cudaGetDeviceProperties");
  // kHz; two transfers a clock.
  const double memory_khz = attribute(cudaDevAttrMemoryClockRate, gpu);
  const double bytes = attribute(cudaDevAttrGlobalMemoryBusWidth, gpu) / 8.0;
  return {.name = p.name,
          .bus_id = fmt::format("{:04x}:{:02x}:{:02x}.0", p.pciDomainID, p.pciBusID, p.pciDeviceID),
          .memory = Bytes{static_cast<std::int64_t>(p.totalGlobalMem)},
          .capability_major = p.major,
          .capability_minor = p.minor,
          .multiprocessors = p.multiProcessorCount,
          .threads = p.maxThreadsPerMultiProcessor,
          .blocks = p.maxBlocksPerMultiProcessor,
          .registers = p.regsPerMultiprocessor,
          .shared_bytes = static_cast<int>(p.sharedMemPerMultiprocessor),
          .clock_mhz = attribute(cudaDevAttrClockRate, gpu) / 1e3,
          .memory_bandwidth = {2 * memory_khz * 1e3 * bytes}};
}

/// 13000 is 13.0.
std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace

std::vector<GpuDescription> find_gpus() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    unavailable(status == cudaSuccess ? cudaErrorNoDevice : status);
  }
  std::vector<GpuDescription> gpus;
  for (int gpu = 0; gpu < count; ++gpu) gpus.push_back(describe(gpu));
  return gpus;
}

std::string cuda_software() {
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const std::size_t blas = cublasLtGetVersion();
  return fmt::format("driver {}, runtime {}, cuBLASLt {}.{}.{}", version_text(driver),
                     version_text(runtime), blas / 10000, blas % 10000 / 100, blas % 100);
}

}  // namespace foreplan
