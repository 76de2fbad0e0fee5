#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/streams.hpp"

// The emulated machine behind the functions of the CUDA runtime.

struct CUevent_st {
  bool timed = false;
  std::uint64_t issued = 0, done = 0;  // how often recorded, and how often that came
  std::int64_t time = 0;
  int gpu = 0;
  CUgraph_st* graph = nullptr;          // recorded last while this was captured ...
  std::vector<std::size_t> frontier{};  // ... behind these nodes
};

namespace foreplan::emulation {

struct Node {
  Description what;
  std::function<void()> work;
  cudaEvent_t external = nullptr;  // an event to record
  std::vector<std::size_t> after{};
  int gpu = 0;
  std::uint32_t stream = 0;
};

struct Command {
  enum class Type { work, record, wait, graph } type{};
  Description what{};
  std::function<void()> work{};
  cudaEvent_t event = nullptr;
  std::uint64_t version = 0;
  cudaGraphExec_t graph = nullptr;
  std::uint32_t correlation = 0;
  std::int64_t issued = 0;
};

}  // namespace foreplan::emulation

struct CUgraph_st {
  std::vector<foreplan::emulation::Node> nodes;
};

struct CUgraphExec_st {
  std::vector<foreplan::emulation::Node> nodes;
};

struct CUstream_st {
  int gpu = 0;
  std::uint32_t id = 0;
  std::int64_t time = 0;
  std::deque<foreplan::emulation::Command> commands{};
  CUgraph_st* capture = nullptr;
  bool origin = false;
  std::vector<std::size_t> frontier{};
};

struct CUmemPoolHandle_st {
  int gpu = 0;
};

namespace foreplan::emulation {

struct Machine {
  int current_gpu = 0;
  cudaError_t last = cudaSuccess;
  std::int64_t now = 0;  // of the issuing thread [ns]
  std::uint32_t correlation = 0;
  std::uint32_t streams_made = 6;
  std::set<cudaStream_t> streams;
  std::map<const std::byte*, std::pair<std::size_t, int>> allocations;  // size, gpu
  std::set<std::pair<int, int>> peers;
  std::mt19937 random{7};
};

Machine& machine();

/// Keeps a failure for cudaGetLastError().
cudaError_t told(cudaError_t status);
/// Whether a test wants this call to fail.
bool fails(const char* call);

#define FAILS_IF_TOLD \
  if (foreplan::emulation::fails(__func__)) return cudaErrorUnknown

/// Runs all that streams hold, in any allowed order.
cudaError_t drain();

/// The stream as a number that is not a handle stands for.
bool known(cudaStream_t stream);
/// A call by the issuing thread: its correlation id.
std::uint32_t call(const char* name);
/// A node of the graph that the stream is captured into.
void append(cudaStream_t stream, Node node);

/// Where a pointer lies: the GPU, or -1 for the host; -2 if the range leaves its allocation.
int place(const void* pointer, std::size_t bytes);
cudaError_t allocate(void** memory, std::size_t bytes, int gpu);
cudaError_t release(void* memory);
cudaError_t copy(cudaStream_t stream, void* to, const void* from, std::size_t bytes, Kind kind);

}  // namespace foreplan::emulation
