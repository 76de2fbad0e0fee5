// Devices and memory.

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/cuda_emulation/machine.hpp"

using namespace foreplan::emulation;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  FAILS_IF_TOLD;
  *count = settings().gpus;
  return *count > 0 ? cudaSuccess : told(cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* gpu) {
  *gpu = machine().current_gpu;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int gpu) {
  if (gpu < 0 || gpu >= settings().gpus) return told(cudaErrorInvalidDevice);
  machine().current_gpu = gpu;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int gpu) {
  FAILS_IF_TOLD;
  if (gpu < 0 || gpu >= settings().gpus) return told(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "Emulated GPU");
  properties->totalGlobalMem = std::size_t{1} << 30;
  properties->multiProcessorCount = 2;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->regsPerMultiprocessor = 65536;
  properties->sharedMemPerMultiprocessor = 233472;
  properties->warpSize = 32;
  properties->major = 9;
  properties->pciBusID = gpu + 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrClockRate              ? 1'980'000
           : attribute == cudaDevAttrMemoryClockRate      ? 3'201'000
           : attribute == cudaDevAttrGlobalMemoryBusWidth ? 6144
                                                          : 0;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(machine().last, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorLaunchTimeout:
      return "the launch timed out and was terminated";
    case cudaErrorStreamCaptureUnjoined:
      return "capturing stream has unjoined work";
    default:
      return "unknown error";
  }
}
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  FAILS_IF_TOLD;
  return allocate(memory, bytes, machine().current_gpu);
}
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  FAILS_IF_TOLD;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *memory != nullptr ? cudaSuccess : told(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = std::size_t{1} << 30;
  *free = *total / 2;
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  FAILS_IF_TOLD;
  *pool = new CUmemPoolHandle_st{.gpu = properties->location.id};
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  delete pool;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, std::size_t) {
  return cudaSuccess;
}
cudaError_t cudaMallocFromPoolAsync(void** memory, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  FAILS_IF_TOLD;
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  return allocate(memory, bytes, pool->gpu);
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  drain();
  return release(memory);
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int gpu, int peer) {
  *can = settings().peer_access && gpu != peer ? 1 : 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  FAILS_IF_TOLD;
  if (!settings().peer_access) return told(cudaErrorPeerAccessUnsupported);
  const bool fresh = machine().peers.insert({machine().current_gpu, peer}).second;
  return fresh ? cudaSuccess : told(cudaErrorPeerAccessAlreadyEnabled);
}

}  // extern "C"
