#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace foreplan::emulation {

/// What a command on a stream is, for those who trace.
enum class Kind : std::uint8_t { kernel, memcpy, peer, memset };
enum class Side : std::uint8_t { host, device };

struct Description {
  Kind kind{};
  std::size_t bytes = 0;
  Side from{}, to{};
  int source_gpu = 0, destination_gpu = 0;
};

/// A command as it ran, in virtual time.
struct Executed {
  Description what;
  int gpu = 0;
  std::uint32_t stream = 0;
  std::uint32_t correlation = 0;  ///< of the call that put it there; counts from 1
  std::int64_t start_ns = 0, finish_ns = 0;
};

/// Emulated GPUs. Commands are kept until somebody waits, and then run in an order drawn anew each
/// time, of those that streams and events allow: what is not ordered by them goes wrong sooner or
/// later. Time is virtual: a command takes 2 us and its bytes at 100 GB/s; putting it takes 1 us.
cudaError_t put(cudaStream_t stream, const Description& what, std::function<void()> work);

/// The issuing thread's virtual time.
std::int64_t now_ns();

/// What a test may set. `reset` restores: 2 GPUs, peer access, no failures, nobody watching.
struct Settings {
  int gpus = 2;
  bool peer_access = true;
  std::string failing_call{};  ///< this call fails with cudaErrorUnknown
  std::function<void(std::uint32_t correlation, const char* call)> on_call{};
  std::function<void(const Executed&)> on_executed{};
};
Settings& settings();
void reset();

}  // namespace foreplan::emulation
