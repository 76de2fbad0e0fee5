#include "runtime/cuda/device_arena.hpp"

#include <algorithm>
#include <utility>

#include "runtime/cuda/check.hpp"

namespace foreplan {
namespace {

PoolHandle make_pool(int gpu) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = gpu;
  cudaMemPool_t pool{};
  check(cudaMemPoolCreate(&pool, &properties), "cudaMemPoolCreate");
  return PoolHandle(pool);
}

void give_access(cudaMemPool_t pool, const std::vector<int>& peers) {
  for (const int peer : peers) {
    cudaMemAccessDesc access{};
    access.location.type = cudaMemLocationTypeDevice;
    access.location.id = peer;
    access.flags = cudaMemAccessFlagsProtReadWrite;
    check(cudaMemPoolSetAccess(pool, &access, 1), "cudaMemPoolSetAccess");
  }
}

}  // namespace

DeviceArena::DeviceArena(int gpu, std::size_t bytes, const std::vector<int>& peers) : size_(bytes) {
  if (bytes == 0) return;
  const CurrentGpu current(gpu);
  pool_ = make_pool(gpu);
  give_access(pool_.get(), peers);
  stream_ = make_stream();
  void* memory = nullptr;
  check(cudaMallocFromPoolAsync(&memory, bytes, pool_.get(), stream_.get()),
        "cudaMallocFromPoolAsync");
  data_ = static_cast<std::byte*>(memory);
  check(cudaMemsetAsync(memory, 0, bytes, stream_.get()), "cudaMemsetAsync");
  check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
}

DeviceArena::DeviceArena(DeviceArena&& other) noexcept { *this = std::move(other); }

DeviceArena& DeviceArena::operator=(DeviceArena&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(stream_, other.stream_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

DeviceArena::~DeviceArena() {
  if (data_ == nullptr) return;
  ignore(cudaFreeAsync(data_, stream_.get()));
  ignore(cudaStreamSynchronize(stream_.get()));
}

}  // namespace foreplan
