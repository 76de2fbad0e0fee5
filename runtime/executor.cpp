#include "runtime/executor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "models/operands.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

[[noreturn]] void fail(const TaskGraph& graph, TaskId task, const std::string& what) {
  reject(fmt::format("{}: {}", described(graph, task), what));
}

/// Checks that each range holds what the kernel will touch there.
void check_sizes(std::span<const BufferRange> ranges, const std::vector<Bytes>& least,
                 const char* what) {
  if (ranges.size() != least.size()) {
    reject(fmt::format("expected {} {}, got {}", least.size(), what, ranges.size()));
  }
  for (std::size_t i = 0; i < least.size(); ++i) {
    if (ranges[i].bytes >= least[i]) continue;
    reject(fmt::format("{} {}: expected {} bytes, got {}", what, i, least[i].count,
                       ranges[i].bytes.count));
  }
}

const TaskGraph& checked(const TaskGraph& graph, const Backend& backend) {
  if (graph.devices <= backend.devices()) return graph;
  reject(fmt::format("the graph has {} devices, the {} backend {}", graph.devices, backend.name(),
                     backend.devices()));
}

}  // namespace

Executor::Executor(const TaskGraph& graph, Backend& backend)
    : graph_(&checked(graph, backend)), backend_(&backend), chains_(graph) {
  check_accesses(graph, chains_);
  for (const TaskId task : graph.order) check_operands(task);
  arenas_ = plan_arenas(graph, chains_);
  for (int device = 0; device < backend.devices(); ++device) {
    const bool used = device < graph.devices;
    backend.reserve(DeviceId{device},
                    used ? arenas_.size[static_cast<std::size_t>(device)] : Bytes{});
  }
  record();
}

void Executor::check_operands(TaskId task) const {
  const std::size_t i = index(task);
  const auto reads = graph_->reads[i];
  const auto writes = graph_->writes[i];
  try {
    if (graph_->kind[i] == TaskKind::transfer) {
      check_sizes(reads, {graph_->bytes[i]}, "reads");
      check_sizes(writes, {graph_->bytes[i]}, "writes");
    } else if (graph_->op[i] == OpId{-1}) {
      reject("has no op");
    } else {
      const OperandBytes least = operand_bytes(graph_->ops[index(graph_->op[i])].key);
      check_sizes(reads, least.reads, "reads");
      check_sizes(writes, least.writes, "writes");
    }
  } catch (const Error& error) {
    fail(*graph_, task, error.what());
  }
}

void Executor::record() {
  std::vector<BackendStream> streams;
  for (std::size_t chain = 0; chain < chains_.count(); ++chain) {
    streams.push_back(backend_->add_stream(chains_.device(chain)));
  }
  std::vector<std::vector<TaskId>> waits(graph_->size());
  std::vector<std::optional<EventId>> events(graph_->size());
  for (const TaskId task : graph_->order) {
    waits[index(task)] = chains_.waits(*graph_, task);
    for (const TaskId awaited : waits[index(task)]) {
      if (!events[index(awaited)]) events[index(awaited)] = backend_->add_event();
    }
  }
  for (const TaskId task : graph_->order) {
    const BackendStream stream = streams[chains_.chain(task)];
    for (const TaskId awaited : waits[index(task)]) backend_->wait(stream, *events[index(awaited)]);
    record_task(task, stream);
    if (events[index(task)]) backend_->record(stream, *events[index(task)]);
  }
}

void Executor::record_task(TaskId task, BackendStream stream) {
  const std::size_t i = index(task);
  std::vector<const std::byte*> reads;
  std::vector<std::byte*> writes;
  for (const BufferRange& range : graph_->reads[i]) reads.push_back(address(range));
  for (const BufferRange& range : graph_->writes[i]) writes.push_back(address(range));
  if (graph_->kind[i] == TaskKind::transfer) {
    backend_->copy(stream, task, reads[0], writes[0], graph_->bytes[i]);
  } else {
    backend_->launch(stream, task, graph_->ops[index(graph_->op[i])], std::move(reads),
                     std::move(writes));
  }
}

MeasuredStep Executor::step(const StepContext& context) {
  return backend_->run(graph_->size(), context);
}

std::byte* Executor::address(const BufferRange& range) const {
  return backend_->address(graph_->buffers[index(range.buffer)].device,
                           arenas_.offset[index(range.buffer)] + range.offset);
}

void Executor::check_range(const BufferRange& range, std::size_t size) const {
  if (index(range.buffer) >= graph_->buffers.size()) reject("no such buffer");
  const Buffer& buffer = graph_->buffers[index(range.buffer)];
  const std::string who = described(*graph_, range.buffer);
  if (!buffer.persistent) reject(who + ": only persistent buffers can be read or written");
  if (range.offset.count < 0 || range.offset + range.bytes > buffer.bytes) {
    reject(fmt::format("{}: bytes {} to {} are outside its {} bytes", who, range.offset.count,
                       (range.offset + range.bytes).count, buffer.bytes.count));
  }
  if (range.bytes.count < 0 || static_cast<std::size_t>(range.bytes.count) != size) {
    reject(fmt::format("{}: expected {} bytes, got {}", who, range.bytes.count, size));
  }
}

void Executor::write(const BufferRange& range, std::span<const std::byte> data) {
  check_range(range, data.size());
  backend_->write(graph_->buffers[index(range.buffer)].device,
                  arenas_.offset[index(range.buffer)] + range.offset, data);
}

void Executor::read(const BufferRange& range, std::span<std::byte> data) const {
  check_range(range, data.size());
  backend_->read(graph_->buffers[index(range.buffer)].device,
                 arenas_.offset[index(range.buffer)] + range.offset, data);
}

}  // namespace foreplan
