// Streams, events, copies and graphs.

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/cuda_emulation/machine.hpp"

using namespace foreplan::emulation;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  FAILS_IF_TOLD;
  *stream = new CUstream_st{.gpu = machine().current_gpu, .id = ++machine().streams_made};
  machine().streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  drain();
  machine().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  FAILS_IF_TOLD;
  return known(stream) ? drain() : told(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaDeviceSynchronize() {
  FAILS_IF_TOLD;
  return drain();
}
// The numbers that CUPTI calls streams by.
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  *id = stream->id;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  FAILS_IF_TOLD;
  *event =
      new CUevent_st{.timed = (flags & cudaEventDisableTiming) == 0, .gpu = machine().current_gpu};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  drain();
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  FAILS_IF_TOLD;
  if (!known(stream) || event->gpu != stream->gpu) return told(cudaErrorInvalidResourceHandle);
  call("cudaEventRecord");
  if (stream->capture != nullptr && flags == cudaEventRecordExternal) {
    append(stream, {.what = {}, .work = {}, .external = event});
  } else if (stream->capture != nullptr) {
    event->graph = stream->capture;
    event->frontier = stream->frontier;
  } else {
    event->graph = nullptr;
    stream->commands.push_back({.type = Command::Type::record,
                                .event = event,
                                .version = ++event->issued,
                                .issued = machine().now});
  }
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  FAILS_IF_TOLD;
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  FAILS_IF_TOLD;
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  call("cudaStreamWaitEvent");
  if (event->graph != nullptr) {
    if (stream->capture != nullptr && stream->capture != event->graph) {
      return told(cudaErrorStreamCaptureMerge);
    }
    stream->capture = event->graph;
    std::vector<std::size_t>& frontier = stream->frontier;
    for (const std::size_t node : event->frontier) {
      if (std::find(frontier.begin(), frontier.end(), node) == frontier.end()) {
        frontier.push_back(node);
      }
    }
    return cudaSuccess;
  }
  if (stream->capture != nullptr) return told(cudaErrorStreamCaptureIsolation);
  stream->commands.push_back({.type = Command::Type::wait,
                              .event = event,
                              .version = event->issued,
                              .issued = machine().now});
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return drain(); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  FAILS_IF_TOLD;
  if (!start->timed || !end->timed || start->gpu != end->gpu) {
    return told(cudaErrorInvalidResourceHandle);
  }
  *milliseconds = static_cast<float>(end->time - start->time) * 1e-6F;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  FAILS_IF_TOLD;
  if (const cudaError_t error = drain(); error != cudaSuccess) return error;
  if (place(from, bytes) == -2 || place(to, bytes) == -2) return told(cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  FAILS_IF_TOLD;
  return copy(stream, to, from, bytes, Kind::memcpy);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int to_gpu, const void* from, int from_gpu,
                                std::size_t bytes, cudaStream_t stream) {
  FAILS_IF_TOLD;
  if (place(to, bytes) != to_gpu || place(from, bytes) != from_gpu) {
    return told(cudaErrorInvalidValue);
  }
  return copy(stream, to, from, bytes, Kind::peer);
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  FAILS_IF_TOLD;
  if (place(to, bytes) < 0) return told(cudaErrorInvalidValue);
  return foreplan::emulation::put(stream, {.kind = Kind::memset, .bytes = bytes},
                                  [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  FAILS_IF_TOLD;
  if (!known(stream) || stream->capture != nullptr) return told(cudaErrorIllegalState);
  stream->capture = new CUgraph_st;
  stream->origin = true;
  stream->frontier.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  FAILS_IF_TOLD;
  CUgraph_st* const captured = stream->capture;
  if (captured == nullptr || !stream->origin) return told(cudaErrorIllegalState);
  // Everything must come before the end of the stream that began the capture.
  std::vector<bool> joined(captured->nodes.size(), false);
  for (const std::size_t node : stream->frontier) joined[node] = true;
  for (std::size_t i = captured->nodes.size(); i-- > 0;) {
    if (!joined[i]) continue;
    for (const std::size_t before : captured->nodes[i].after) joined[before] = true;
  }
  for (const cudaStream_t other : machine().streams) {
    if (other->capture != captured) continue;
    other->capture = nullptr;
    other->origin = false;
    other->frontier.clear();
  }
  if (std::find(joined.begin(), joined.end(), false) != joined.end()) {
    delete captured;
    *graph = nullptr;
    return told(cudaErrorStreamCaptureUnjoined);
  }
  *graph = captured;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  FAILS_IF_TOLD;
  *exec = new CUgraphExec_st{.nodes = graph->nodes};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  FAILS_IF_TOLD;
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  stream->commands.push_back({.type = Command::Type::graph,
                              .graph = exec,
                              .correlation = call("cudaGraphLaunch"),
                              .issued = machine().now});
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  drain();
  delete exec;
  return cudaSuccess;
}

}  // extern "C"
