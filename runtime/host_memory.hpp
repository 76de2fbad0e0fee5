#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace foreplan {

/// The arena of one host device: zeroed, every page in place, aligned to at least 64 bytes, on
/// huge pages where the system gives them.
class HostMemory {
 public:
  HostMemory() = default;
  /// Pages are placed by a thread on `core`, so that they lie near it.
  /// @throws Error(unavailable) if the system has no `size` bytes
  HostMemory(std::size_t size, int core);

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace foreplan
