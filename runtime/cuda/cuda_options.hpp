#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/activity_tracer.hpp"

namespace foreplan {

/// What a CudaBackend is made of.
struct CudaOptions {
  int devices = 1;    ///< logical ones: several may share a GPU
  bool graph = false; ///< the step is captured once and launched as a CUDA graph
  /// Who tells when tasks ran; none: timing events. Not together with `graph`, whose nodes CUPTI does
  /// not tie to calls.
  ActivityTracer* tracer = nullptr;
  /// Scratch memory of each stream that launches kernels: what NVIDIA advises for cuBLAS on H100.
  std::size_t workspace_bytes = std::size_t{32} << 20;
};

/// How a copy from one device to another goes.
enum class CopyPath : std::uint8_t { same_gpu, peer, staged };

}  // namespace foreplan
