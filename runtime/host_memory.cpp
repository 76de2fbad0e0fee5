#include "runtime/host_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <thread>

#include "runtime/host_thread.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

HostMemory::HostMemory(std::size_t size, int core) : size_(size) {
  if (size == 0) return;
  const std::size_t alignment = size < kHugePage ? kPage : kHugePage;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, whole)));
  if (data_ == nullptr) {
    throw Error(ErrorCode::unavailable, fmt::format("no memory for an arena of {} bytes", size));
  }
  // A wish: without it the arena works all the same.
  if (alignment == kHugePage) madvise(data_.get(), whole, MADV_HUGEPAGE);
  std::thread([&] {
    pin_this_thread(core);
    std::memset(data_.get(), 0, whole);
  }).join();
}

}  // namespace foreplan
