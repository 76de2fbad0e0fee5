#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace foreplan {

/// What a GPU, or the host on its behalf, did from one instant to another: a record of CUPTI as a
/// plain value.
struct Activity {
  enum class Kind : std::uint8_t { kernel, memcpy, peer_memcpy, memset, synchronisation, overhead };
  enum class Side : std::uint8_t { unknown, host, device };
  Kind kind{};
  std::uint64_t start_ns = 0, finish_ns = 0;  ///< one clock for all GPUs and the host
  std::uint32_t gpu = 0;                      ///< of a peer memcpy: where it ran
  std::uint32_t stream = 0;
  std::uint32_t correlation = 0;  ///< of the call that caused it
  std::uint64_t external = 0;     ///< what the session was told while that call was made; 0: nothing
  std::string name{};             ///< kernel: as the compiler mangled it; overhead: its kind
  std::uint64_t bytes = 0;        ///< memcpy, memset
  Side from{}, to{};              ///< memcpy
  std::uint32_t source_gpu = 0, destination_gpu = 0;  ///< peer memcpy
  std::uint32_t blocks = 0, threads = 0;              ///< kernel: of the grid, of a block
  std::uint32_t registers = 0;                        ///< kernel: a thread
  std::uint32_t shared_bytes = 0;                     ///< kernel: a block, static and dynamic
};

/// What a multiprocessor offers, as cudaDeviceProp tells it.
struct MultiprocessorLimits {
  int multiprocessors = 1;
  int threads = 2048;
  int blocks = 32;
  int registers = 65536;
  int shared_bytes = 233472;
};

/// The blocks of a kernel that one multiprocessor holds at once, at least 1.
///
/// The least of what threads (in warps of 32), registers (handed out to warps in units of 256) and
/// shared memory (1 KiB a block more than it asks for) allow.
/// Source: CUDA C++ Programming Guide, "Hardware Multithreading" and the table of compute capabilities.
int resident_blocks(const Activity& kernel, const MultiprocessorLimits& limits);

/// The share of the GPU's places for blocks that a kernel's grid fills, at most 1.
double multiprocessor_share(const Activity& kernel, const MultiprocessorLimits& limits);

}  // namespace foreplan
