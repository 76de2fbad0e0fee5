#pragma once

#include <vector_types.h>

#include <cstdint>
#include <functional>

namespace foreplan::emulation {

/// The built-in variables of the thread that is running, one kernel at a time.
struct KernelThread {
  uint3 thread{}, block{};
  dim3 block_size, grid_size;
};
KernelThread& current();

/// Runs a kernel block by block; the threads of a block are fibers that take turns at barriers.
/// @throws std::runtime_error if some threads wait at a barrier that others never reach
void run_kernel(const dim3& grid, const dim3& block, const std::function<void()>& body);

/// Barriers, called from inside a kernel.
void meet_block();
void meet_warp();
/// What the lane `lane ^ mask` of this warp passed.
std::uint64_t exchange(std::uint64_t value, unsigned mask);
/// What lane `source` passed.
std::uint64_t pick(std::uint64_t value, unsigned source);

}  // namespace foreplan::emulation
