#include "sim/task_graph_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/collective.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/task_graph_records.hpp"

namespace foreplan {
namespace {

/// Ids of a file and the place of each in its list.
class Names {
 public:
  explicit Names(std::string what) : what_(std::move(what)) {}

  void add(const JsonValue& value, std::size_t place) {
    if (!places_.emplace(value.text(), place).second) {
      value.expected(fmt::format("a name that no other {} has", what_));
    }
  }
  std::size_t find(const JsonValue& value) const {
    const auto found = places_.find(value.text());
    if (found == places_.end()) value.expected(fmt::format("the name of a {}", what_));
    return found->second;
  }

 private:
  std::string what_;
  std::map<std::string, std::size_t> places_;
};

/// A whole file, read and not yet a graph.
struct Records {
  std::vector<TaskRecord> tasks;
  std::vector<BufferRecord> persistent;
  std::vector<std::pair<JsonValue, Collective>> collectives;
  std::optional<int> devices;
  std::int64_t global_batch = 0;
};

std::pair<JsonValue, Collective> read_collective_entry(JsonObject object) {
  const JsonValue id = object.required("id");
  Collective collective{.kind = read_collective_kind(object.required("operation")),
                        .group = read_group(object.required("group")),
                        .bytes = {object.required("bytes").integer(0)},
                        .name = id.text()};
  object.finish();
  return {id, std::move(collective)};
}

BufferRecord read_persistent(JsonObject object) {
  const DeviceId device = read_device_index(object.required("device"));
  BufferRecord record = read_buffer_record(object, device);
  record.buffer.persistent = true;
  object.finish();
  return record;
}

Records read_records(JsonObject& root, const OpCompletion& complete) {
  Records records;
  if (const auto name = root.optional("name")) name->text();
  if (const auto source = root.optional("source")) source->text();
  if (const auto devices = root.optional("devices")) {
    records.devices = static_cast<int>(devices->integer(1, kMostDevices));
  }
  if (const auto batch = root.optional("global_batch")) records.global_batch = batch->integer(0);
  if (const auto buffers = root.optional("persistent")) {
    for (const JsonValue& value : buffers->array()) {
      records.persistent.push_back(read_persistent(value.object()));
    }
  }
  if (const auto collectives = root.optional("collectives")) {
    for (const JsonValue& value : collectives->array()) {
      records.collectives.push_back(read_collective_entry(value.object()));
    }
  }
  for (const JsonValue& value : root.required("tasks").array()) {
    records.tasks.push_back(read_task_record(value, complete));
  }
  root.finish();
  return records;
}

/// One more than the greatest device that the file speaks of; at least 1.
int devices_used(const Records& records) {
  std::int32_t most = 0;
  const auto see = [&](DeviceId device) {
    most = std::max(most, static_cast<std::int32_t>(device));
  };
  for (const TaskRecord& task : records.tasks) {
    see(task.device);
    see(task.source);
    std::for_each(task.group.begin(), task.group.end(), see);
  }
  for (const BufferRecord& record : records.persistent) see(record.buffer.device);
  for (const auto& [id, collective] : records.collectives) {
    std::for_each(collective.group.begin(), collective.group.end(), see);
  }
  return most + 1;
}

/// Turns records into a graph: tasks in the file's order, then the dependencies between them, which
/// may point forwards.
class Assembly {
 public:
  explicit Assembly(const Records& records)
      : records_(records), builder_(records.devices.value_or(devices_used(records))) {}

  TaskGraphFile run() && {
    builder_.set_global_batch(records_.global_batch);
    add_buffers();
    for (const auto& [id, collective] : records_.collectives) {
      collective_names_.add(id, static_cast<std::size_t>(builder_.add_collective(collective)));
    }
    for (std::size_t i = 0; i < records_.tasks.size(); ++i) {
      task_names_.add(records_.tasks[i].id, i);
    }
    for (const TaskRecord& task : records_.tasks) add(task);
    for (std::size_t i = 0; i < records_.tasks.size(); ++i) connect(i);
    result_.graph = std::move(builder_).build();
    return std::move(result_);
  }

 private:
  void add_buffer(const BufferRecord& record) {
    buffer_names_.add(record.name, index(builder_.add_buffer(record.buffer)));
  }

  void add_buffers() {
    for (const BufferRecord& record : records_.persistent) add_buffer(record);
    for (const TaskRecord& task : records_.tasks) {
      for (const BufferRecord& record : task.allocates) add_buffer(record);
    }
  }

  BufferId buffer(const JsonValue& name) const {
    return BufferId{static_cast<std::int32_t>(buffer_names_.find(name))};
  }

  std::int32_t layer(const std::optional<std::string>& name) {
    if (!name) return -1;
    const auto known = layers_.find(*name);
    if (known != layers_.end()) return known->second;
    return layers_[*name] = builder_.add_node_name(*name);
  }

  void add(const TaskRecord& record) {
    const std::size_t first = builder_.size();
    const StreamId stream = record.stream ? builder_.stream_named(*record.stream) : kNoStream;
    if (record.kind == FileTaskKind::collective) {
      add_collective(record, stream);
    } else {
      const TaskId task = builder_.add(task_spec(record, stream));
      entries_.push_back({task});
      done_.push_back({task});
    }
    FileTask made{record.id.text(), {}};
    for (std::size_t t = first; t < builder_.size(); ++t) {
      made.tasks.push_back(TaskId{static_cast<std::int32_t>(t)});
    }
    result_.tasks.push_back(std::move(made));
  }

  TaskSpec task_spec(const TaskRecord& record, StreamId stream) {
    TaskSpec task{.device = record.device, .stream = stream, .name = record.id.text()};
    if (record.kind == FileTaskKind::transfer) {
      task.kind = TaskKind::transfer;
      task.source = record.source;
      task.bytes = record.bytes;
    } else {
      task.kind = record.kind == FileTaskKind::host ? TaskKind::host : TaskKind::compute;
      task.op = builder_.add_op(*record.op);
    }
    task.node = layer(record.layer);
    task.micro_batch = record.micro_batch;
    if (record.ring) task.collective = static_cast<int>(collective_names_.find(*record.ring));
    for (const BufferRecord& made : record.allocates) task.allocates.push_back(buffer(made.name));
    for (const JsonValue& name : record.frees) task.frees.push_back(buffer(name));
    return task;
  }

  void add_collective(const TaskRecord& record, StreamId stream) {
    const std::size_t first = builder_.size();
    const CollectiveSpec spec{.kind = record.operation,
                              .algorithm = record.algorithm,
                              .group = record.group,
                              .bytes = record.bytes,
                              .stream = stream,
                              .name = record.id.text()};
    const CollectiveTasks ring = expand_collective(builder_, spec);
    if (builder_.size() == first) add_nothing(record, stream, ring.collective);
    std::vector<TaskId> entries, done;
    for (std::size_t t = first; t < builder_.size(); ++t) {
      const TaskId task{static_cast<std::int32_t>(t)};
      // Every task of a ring follows, by dependencies or its stream, one that waits for nothing.
      if (builder_.after(task).empty()) entries.push_back(task);
    }
    for (const auto& rank : ring.done) done.insert(done.end(), rank.begin(), rank.end());
    if (done.empty()) done = entries;
    entries_.push_back(std::move(entries));
    done_.push_back(std::move(done));
  }

  /// A collective of one rank takes no time, but it has its place in its stream and can be waited
  /// for.
  void add_nothing(const TaskRecord& record, StreamId stream, std::int32_t collective) {
    builder_.add({.kind = TaskKind::host,
                  .device = record.group.front(),
                  .stream = stream,
                  .op = builder_.add_op(given_op(Duration::zero())),
                  .collective = collective});
  }

  void connect(std::size_t task) {
    for (const JsonValue& name : records_.tasks[task].after) {
      const std::size_t before = task_names_.find(name);
      for (const TaskId entry : entries_[task]) {
        for (const TaskId predecessor : done_[before]) builder_.add_after(entry, predecessor);
      }
    }
  }

  const Records& records_;
  TaskGraphBuilder builder_;
  TaskGraphFile result_;
  Names task_names_{"task"}, buffer_names_{"buffer"}, collective_names_{"collective"};
  std::map<std::string, std::int32_t> layers_;
  std::vector<std::vector<TaskId>> entries_;  ///< by task of the file: those that wait for others
  std::vector<std::vector<TaskId>> done_;     ///< and those that others wait for
};

}  // namespace

TaskGraphFile read_task_graph(const std::filesystem::path& path, const OpCompletion& complete) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("task_graph");
  const std::string place = root.place();
  const Records records = read_records(root, complete);
  try {
    return Assembly(records).run();
  } catch (const Error& error) {
    const std::string message = error.what();
    // What the reader found wrong already names the file; what the builder found does not.
    if (message.rfind(place + ": ", 0) == 0) throw;
    throw Error(error.code(), place + ": " + message);
  }
}

std::vector<FileTaskTime> file_times(const TaskGraphFile& file, const Timeline& timeline) {
  std::vector<FileTaskTime> times;
  for (const FileTask& task : file.tasks) {
    FileTaskTime time{task.id, Duration::max(), Duration::zero()};
    for (const TaskId id : task.tasks) {
      time.start = std::min(time.start, timeline.start[index(id)]);
      time.finish = std::max(time.finish, timeline.finish[index(id)]);
    }
    times.push_back(std::move(time));
  }
  return times;
}

}  // namespace foreplan
