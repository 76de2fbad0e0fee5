#include "planner/emitter.hpp"

#include <algorithm>
#include <utility>

namespace foreplan {

Emitter::Emitter(int devices, bool concurrent_streams, CollectiveAlgorithm algorithm)
    : concurrent_(concurrent_streams), algorithm_(algorithm), builder_(devices) {}

Value Emitter::temporary(DeviceId device, Bytes bytes, BufferCategory category) {
  const BufferId id = builder_.add_buffer({.device = device, .bytes = bytes, .category = category});
  books_.resize(index(id) + 1);
  return {.device = device, .range = {.buffer = id, .offset = {}, .bytes = bytes}, .ready = {}};
}

Value Emitter::persistent(DeviceId device, Bytes bytes, BufferCategory category) {
  const BufferId id = builder_.add_buffer(
      {.device = device, .bytes = bytes, .category = category, .persistent = true});
  books_.resize(index(id) + 1);
  books_.back().persistent = true;
  return {.device = device, .range = {.buffer = id, .offset = {}, .bytes = bytes}, .ready = {}};
}

std::vector<TaskId> Emitter::elsewhere(DeviceId device, StreamId stream,
                                       const std::vector<TaskId>& tasks) const {
  std::vector<TaskId> others;
  for (const TaskId task : tasks) {
    if (builder_.device(task) != device || builder_.stream(task) != stream) others.push_back(task);
  }
  return others;
}

void Emitter::note_read(BufferId buffer, TaskId task) {
  Book& book = books_[index(buffer)];
  if (!book.persistent) book.users.push_back(task);
}

bool Emitter::first_write(BufferId buffer) {
  Book& book = books_[index(buffer)];
  return !book.persistent && !std::exchange(book.allocated, true);
}

TaskId Emitter::compute(const EmitContext& context, OpKey key, const std::vector<Value>& reads,
                        const std::vector<Value*>& writes, std::vector<TaskId> after) {
  TaskSpec spec{.kind = TaskKind::compute,
                .device = context.device,
                .op = builder_.add_op(make_op(std::move(key))),
                .node = context.node,
                .micro_batch = context.micro_batch};
  after = elsewhere(context.device, kComputeStream, after);
  for (const Value& value : reads) {
    spec.reads.push_back(value.range);
    for (const TaskId task : elsewhere(context.device, kComputeStream, value.ready)) {
      after.push_back(task);
    }
  }
  for (const Value* value : writes) {
    spec.writes.push_back(value->range);
    if (first_write(value->range.buffer)) spec.allocates.push_back(value->range.buffer);
  }
  std::sort(after.begin(), after.end());
  after.erase(std::unique(after.begin(), after.end()), after.end());
  spec.after = std::move(after);
  const TaskId task = builder_.add(std::move(spec));
  for (const Value& value : reads) note_read(value.range.buffer, task);
  for (Value* value : writes) {
    note_read(value->range.buffer, task);
    value->ready = {task};
  }
  return task;
}

Value Emitter::pull(const EmitContext& context, const Value& from) {
  Value to = temporary(context.device, from.range.bytes, BufferCategory::communication);
  first_write(to.range.buffer);
  const TaskId task = builder_.add({.kind = TaskKind::transfer,
                                    .device = context.device,
                                    .stream = stream(kCopyInStream),
                                    .source = from.device,
                                    .bytes = from.range.bytes,
                                    .node = context.node,
                                    .micro_batch = context.micro_batch,
                                    .after = from.ready,
                                    .reads = {from.range},
                                    .writes = {to.range},
                                    .allocates = {to.range.buffer}});
  note_read(from.range.buffer, task);
  note_read(to.range.buffer, task);
  to.ready = {task};
  return to;
}

std::vector<std::vector<TaskId>> Emitter::collective(CollectiveKind kind, StreamId on,
                                                     const std::vector<Value*>& values,
                                                     const EmitContext& context, std::string name) {
  CollectiveSpec spec{.kind = kind,
                      .algorithm = algorithm_,
                      .group = {},
                      .bytes = values.front()->range.bytes,
                      .stream = stream(on),
                      .node = context.node,
                      .micro_batch = context.micro_batch,
                      .name = std::move(name)};
  for (const Value* value : values) {
    spec.group.push_back(value->device);
    spec.after.push_back(value->ready);
    spec.data.push_back(value->range);
  }
  CollectiveTasks tasks = expand_collective(builder_, spec);
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    Value& value = *values[rank];
    for (const TaskId task : tasks.done[rank]) note_read(value.range.buffer, task);
    for (const TaskId task : tasks.released[rank]) note_read(value.range.buffer, task);
    value.ready = tasks.done[rank];
  }
  return std::move(tasks.released);
}

TaskGraph Emitter::finish() && {
  // Buffers that a ring made are its own: the books end before them or know nothing of them.
  for (std::size_t i = 0; i < books_.size(); ++i) {
    Book& book = books_[i];
    if (book.persistent || book.users.empty()) continue;
    std::sort(book.users.begin(), book.users.end());
    const TaskId last = book.users.back();
    builder_.add_free(last, BufferId{static_cast<std::int32_t>(i)});
    // One wait a stream is enough: its tasks finish in order.
    std::map<std::pair<DeviceId, StreamId>, TaskId> others;
    for (const TaskId task : book.users) {
      others[{builder_.device(task), builder_.stream(task)}] = task;
    }
    others.erase({builder_.device(last), builder_.stream(last)});
    for (const auto& [where, task] : others) builder_.add_after(last, task);
  }
  return std::move(builder_).build();
}

}  // namespace foreplan
