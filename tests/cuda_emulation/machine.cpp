#include "tests/cuda_emulation/machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace foreplan::emulation {

Machine& machine() {
  static Machine* const it = new Machine;
  return *it;
}

namespace {

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

}  // namespace

cudaError_t told(cudaError_t status) {
  if (status != cudaSuccess) machine().last = status;
  return status;
}

bool fails(const char* call) {
  const bool fails = settings().failing_call == call;
  if (fails) machine().last = cudaErrorUnknown;
  return fails;
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
  return put(stream, what, [=] { std::memmove(to, from, bytes); });
}

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
