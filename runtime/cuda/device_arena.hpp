#pragma once

#include <cstddef>
#include <vector>

#include "runtime/cuda/handles.hpp"

namespace foreplan {

/// The memory of one logical device, from a stream-ordered pool of its own: given back when it goes.
class DeviceArena {
 public:
  DeviceArena() = default;
  /// `bytes` zeros on GPU `gpu` that the GPUs `peers` may read and write.
  /// @throws Error(failed) if the GPU has not so much
  DeviceArena(int gpu, std::size_t bytes, const std::vector<int>& peers);
  DeviceArena(DeviceArena&& other) noexcept;
  DeviceArena& operator=(DeviceArena&& other) noexcept;
  ~DeviceArena();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  PoolHandle pool_;
  StreamHandle stream_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace foreplan
