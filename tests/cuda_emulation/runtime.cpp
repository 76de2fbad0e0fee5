#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/streams.hpp"

using foreplan::emulation::Description;
using foreplan::emulation::Executed;
using foreplan::emulation::Kind;
using foreplan::emulation::Side;
using foreplan::emulation::settings;

struct CUevent_st {
  bool timed = false;
  std::uint64_t issued = 0, done = 0;  // how often recorded, and how often that came
  std::int64_t time = 0;
  int gpu = 0;
  CUgraph_st* graph = nullptr;  // recorded last while this was captured ...
  std::vector<std::size_t> frontier{};  // ... behind these nodes
};

namespace {

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

}  // namespace

struct CUgraph_st {
  std::vector<Node> nodes;
};

struct CUgraphExec_st {
  std::vector<Node> nodes;
};

struct CUstream_st {
  int gpu = 0;
  std::uint32_t id = 0;
  std::int64_t time = 0;
  std::deque<Command> commands{};
  CUgraph_st* capture = nullptr;
  bool origin = false;
  std::vector<std::size_t> frontier{};
};

struct CUmemPoolHandle_st {
  int gpu = 0;
};

namespace {

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

Machine& machine() {
  static Machine* const it = new Machine;
  return *it;
}

cudaError_t told(cudaError_t status) {
  if (status != cudaSuccess) machine().last = status;
  return status;
}

bool fails(const char* call) {
  const bool fails = settings().failing_call == call;
  if (fails) machine().last = cudaErrorUnknown;
  return fails;
}

#define FAILS_IF_TOLD \
  if (fails(__func__)) return cudaErrorUnknown

std::int64_t length_ns(const Description& what) {
  return 2000 + static_cast<std::int64_t>(what.bytes / 100);
}

void tell(const Executed& executed) {
  if (settings().on_executed) settings().on_executed(executed);
}

bool ready(const Command& command) {
  return command.type != Command::Type::wait || command.event->done >= command.version;
}

/// Runs the nodes of a graph in any allowed order.
void run_graph(CUstream_st& stream, const Command& command) {
  const std::vector<Node>& nodes = command.graph->nodes;
  std::vector<std::int64_t> finish(nodes.size(), -1);
  for (std::size_t left = nodes.size(); left > 0; --left) {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto done = [&](std::size_t j) { return finish[j] >= 0; };
      if (finish[i] < 0 && std::all_of(nodes[i].after.begin(), nodes[i].after.end(), done)) {
        open.push_back(i);
      }
    }
    const std::size_t i = open[machine().random() % open.size()];
    std::int64_t start = stream.time;
    for (const std::size_t j : nodes[i].after) start = std::max(start, finish[j]);
    if (nodes[i].external != nullptr) {
      nodes[i].external->time = finish[i] = start;
      continue;
    }
    nodes[i].work();
    finish[i] = start + length_ns(nodes[i].what);
    tell({nodes[i].what, nodes[i].gpu, nodes[i].stream, command.correlation, start, finish[i]});
  }
  for (const std::int64_t time : finish) stream.time = std::max(stream.time, time);
}

void run(CUstream_st& stream) {
  const Command command = std::move(stream.commands.front());
  stream.commands.pop_front();
  stream.time = std::max(stream.time, command.issued);
  switch (command.type) {
    case Command::Type::record:
      command.event->done = std::max(command.event->done, command.version);
      command.event->time = stream.time;
      break;
    case Command::Type::wait:
      stream.time = std::max(stream.time, command.event->time);
      break;
    case Command::Type::graph:
      run_graph(stream, command);
      break;
    case Command::Type::work:
      command.work();
      const std::int64_t start = stream.time;
      stream.time += length_ns(command.what);
      tell({command.what, stream.gpu, stream.id, command.correlation, start, stream.time});
      break;
  }
}

cudaError_t drain() {
  for (;;) {
    std::vector<cudaStream_t> open;
    bool left = false;
    for (const cudaStream_t stream : machine().streams) {
      if (stream->commands.empty()) continue;
      left = true;
      if (ready(stream->commands.front())) open.push_back(stream);
    }
    if (!left) break;
    if (open.empty()) return told(cudaErrorLaunchTimeout);  // a deadlock
    // The set is ordered by address; the order of ids makes runs repeatable.
    std::sort(open.begin(), open.end(), [](auto a, auto b) { return a->id < b->id; });
    try {
      run(*open[machine().random() % open.size()]);
    } catch (const std::exception&) {
      return told(cudaErrorLaunchFailure);
    }
  }
  for (const cudaStream_t stream : machine().streams) {
    machine().now = std::max(machine().now, stream->time);
  }
  return cudaSuccess;
}

/// The stream as a number that is not a handle stands for.
bool known(cudaStream_t stream) { return machine().streams.contains(stream); }

std::uint32_t call(const char* name) {
  machine().now += 1000;
  const std::uint32_t id = ++machine().correlation;
  if (settings().on_call) settings().on_call(id, name);
  return id;
}

void append(cudaStream_t stream, Node node) {
  node.after = stream->frontier;
  node.gpu = stream->gpu;
  node.stream = stream->id;
  stream->capture->nodes.push_back(std::move(node));
  stream->frontier = {stream->capture->nodes.size() - 1};
}

/// Where a pointer lies: the GPU, or -1 for the host; -2 if the range leaves its allocation.
int place(const void* pointer, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(pointer);
  auto next = machine().allocations.upper_bound(at);
  if (next == machine().allocations.begin()) return -1;
  const auto& [base, allocation] = *--next;
  if (at >= base + allocation.first) return -1;
  return at + bytes <= base + allocation.first ? allocation.second : -2;
}

cudaError_t allocate(void** memory, std::size_t bytes, int gpu) {
  constexpr std::size_t kAlignment = 256;
  void* block = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (block == nullptr) return told(cudaErrorMemoryAllocation);
  std::memset(block, 0xff, bytes);  // not a number
  machine().allocations[static_cast<std::byte*>(block)] = {bytes, gpu};
  *memory = block;
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const auto found = machine().allocations.find(static_cast<std::byte*>(memory));
  if (found == machine().allocations.end()) return told(cudaErrorInvalidValue);
  machine().allocations.erase(found);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t copy(cudaStream_t stream, void* to, const void* from, std::size_t bytes, Kind kind) {
  const int source = place(from, bytes), destination = place(to, bytes);
  if (source == -2 || destination == -2) return told(cudaErrorInvalidValue);
  const Description what{.kind = kind,
                         .bytes = bytes,
                         .from = source < 0 ? Side::host : Side::device,
                         .to = destination < 0 ? Side::host : Side::device,
                         .source_gpu = source,
                         .destination_gpu = destination};
  return foreplan::emulation::put(stream, what, [=] { std::memmove(to, from, bytes); });
}

}  // namespace

namespace foreplan::emulation {

Settings& settings() {
  static Settings* const it = new Settings;
  return *it;
}

std::int64_t now_ns() { return machine().now; }

void reset() {
  settings() = {};
  machine().last = cudaSuccess;
  machine().peers.clear();
}

cudaError_t put(cudaStream_t stream, const Description& what, std::function<void()> work) {
  const char* const name = what.kind == Kind::kernel ? "cudaLaunchKernel" : "cudaMemcpyAsync";
  if (fails(name)) return cudaErrorUnknown;
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  const std::uint32_t id = call(name);
  if (stream->capture != nullptr) {
    append(stream, {.what = what, .work = std::move(work)});
    return cudaSuccess;
  }
  stream->commands.push_back({.type = Command::Type::work,
                              .what = what,
                              .work = std::move(work),
                              .correlation = id,
                              .issued = machine().now});
  return cudaSuccess;
}

}  // namespace foreplan::emulation

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  FAILS_IF_TOLD;
  *count = settings().gpus;
  return *count > 0 ? cudaSuccess : told(cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* gpu) {
  *gpu = machine().current_gpu;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int gpu) {
  if (gpu < 0 || gpu >= settings().gpus) return told(cudaErrorInvalidDevice);
  machine().current_gpu = gpu;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int gpu) {
  FAILS_IF_TOLD;
  if (gpu < 0 || gpu >= settings().gpus) return told(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "Emulated GPU");
  properties->totalGlobalMem = std::size_t{1} << 30;
  properties->multiProcessorCount = 2;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->regsPerMultiprocessor = 65536;
  properties->sharedMemPerMultiprocessor = 233472;
  properties->warpSize = 32;
  properties->major = 9;
  properties->pciBusID = gpu + 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrClockRate          ? 1'980'000
           : attribute == cudaDevAttrMemoryClockRate  ? 3'201'000
           : attribute == cudaDevAttrGlobalMemoryBusWidth ? 6144
                                                      : 0;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(machine().last, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorLaunchTimeout: return "the launch timed out and was terminated";
    case cudaErrorStreamCaptureUnjoined:
      return "capturing stream has unjoined work";
    default: return "unknown error";
  }
}
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  FAILS_IF_TOLD;
  return allocate(memory, bytes, machine().current_gpu);
}
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  FAILS_IF_TOLD;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *memory != nullptr ? cudaSuccess : told(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = std::size_t{1} << 30;
  *free = *total / 2;
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  FAILS_IF_TOLD;
  *pool = new CUmemPoolHandle_st{.gpu = properties->location.id};
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  delete pool;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, std::size_t) {
  return cudaSuccess;
}
cudaError_t cudaMallocFromPoolAsync(void** memory, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  FAILS_IF_TOLD;
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  return allocate(memory, bytes, pool->gpu);
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (!known(stream)) return told(cudaErrorInvalidResourceHandle);
  drain();
  return release(memory);
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int gpu, int peer) {
  *can = settings().peer_access && gpu != peer ? 1 : 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  FAILS_IF_TOLD;
  if (!settings().peer_access) return told(cudaErrorPeerAccessUnsupported);
  const bool fresh = machine().peers.insert({machine().current_gpu, peer}).second;
  return fresh ? cudaSuccess : told(cudaErrorPeerAccessAlreadyEnabled);
}

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
  *event = new CUevent_st{.timed = (flags & cudaEventDisableTiming) == 0,
                          .gpu = machine().current_gpu};
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
