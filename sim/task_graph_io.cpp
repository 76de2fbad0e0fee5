#include "sim/task_graph_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/collective.hpp"
#include "sim/collective_cost.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"
#include "sim/task_graph_records.hpp"

namespace foreplan {
namespace {

/// A few kilobytes of collectives can ask for any number of these; more than a graph of today has.
constexpr std::size_t kMostTasks = 5'000'000;
constexpr std::size_t kMostDependencies = 50'000'000;

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

/// At most so many copies does a collective become.
std::size_t most_copies(const CollectiveSpec& spec) {
  const std::size_t n = spec.group.size();
  const auto chunks = static_cast<std::size_t>(std::max(spec.tuning.chunks, 1));
  const auto channels = static_cast<std::size_t>(std::max(spec.tuning.channels, 1));
  switch (spec.algorithm) {
    case CollectiveAlgorithm::tree:
    case CollectiveAlgorithm::recursive_doubling:
    case CollectiveAlgorithm::halving_doubling:
      return 2 * n * (static_cast<std::size_t>(std::bit_width(n)) + 1);
    case CollectiveAlgorithm::double_tree:
      return 4 * n * chunks;
    case CollectiveAlgorithm::hierarchical:
      return std::max(2 * n * n, 4 * n * chunks);
    case CollectiveAlgorithm::ring:
    case CollectiveAlgorithm::direct:
      break;
  }
  if (spec.kind >= CollectiveKind::broadcast) return n * chunks;
  const std::size_t rounds = (spec.kind == CollectiveKind::all_reduce ? 2 : 1) * (n - 1);
  return rounds * n * channels;
}

/// Turns records into a graph: tasks in the file's order, then the dependencies between them, which
/// may point forwards.
class Assembly {
 public:
  Assembly(const Records& records, const GroupPlacing& place)
      : records_(records),
        place_(place),
        builder_(records.devices.value_or(devices_used(records))) {}

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
    const CollectiveTasks ring = expand(record, stream);
    if (builder_.size() == first) add_nothing(record, stream, ring.collective);
    std::vector<TaskId> entries, done;
    for (std::size_t t = first; t < builder_.size(); ++t) {
      const TaskId task{static_cast<std::int32_t>(t)};
      // Every task of a collective follows, by dependencies or its stream, one that waits for nothing.
      if (builder_.after(task).empty()) entries.push_back(task);
    }
    for (const auto& rank : ring.done) done.insert(done.end(), rank.begin(), rank.end());
    if (done.empty()) done = entries;
    entries_.push_back(std::move(entries));
    done_.push_back(std::move(done));
  }

  CollectiveTasks expand(const TaskRecord& record, StreamId stream) {
    CollectiveSpec spec{.kind = record.operation,
                        .group = record.group,
                        .bytes = record.bytes,
                        .stream = stream,
                        .name = record.id.text(),
                        .ranks_per_node = record.ranks_per_node,
                        .tuning = record.tuning};
    try {
      choose(record, spec);
      if (builder_.size() + most_copies(spec) > kMostTasks) {
        reject(fmt::format("expected at most {} tasks, those of collectives counted, got more",
                           kMostTasks));
      }
      return expand_collective(builder_, spec);
    } catch (const Error& error) {
      throw Error(error.code(), record.place + ": " + printable(error.what(), 1000));
    }
  }

  /// The algorithm of `spec`, and on how many nodes it runs.
  void choose(const TaskRecord& record, CollectiveSpec& spec) const {
    spec.algorithm = record.algorithm.value_or(CollectiveAlgorithm::ring);
    const bool unplaced =
        spec.algorithm == CollectiveAlgorithm::hierarchical && record.ranks_per_node == 0;
    if (record.algorithm && !unplaced) return;
    if (!place_) reject("expected a collective that tells its algorithm and ranks_per_node");
    const GroupPlacement placement = place_(record.group);
    spec.ranks_per_node = placement.grid.ranks_per_node;
    if (record.algorithm) return;
    const CollectiveChoice choice = best_algorithm(spec.kind, spec.bytes, placement);
    spec.algorithm = choice.algorithm;
    spec.tuning = choice.tuning;
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
    std::vector<std::size_t> before;
    for (const JsonValue& name : records_.tasks[task].after) {
      before.push_back(task_names_.find(name));
      dependencies_ += entries_[task].size() * done_[before.back()].size();
      if (dependencies_ > kMostDependencies) {
        name.expected(fmt::format("at most {} dependencies, those of collectives counted",
                                  kMostDependencies));
      }
    }
    for (const std::size_t predecessors : before) {
      for (const TaskId entry : entries_[task]) {
        for (const TaskId predecessor : done_[predecessors]) {
          builder_.add_after(entry, predecessor);
        }
      }
    }
  }

  const Records& records_;
  const GroupPlacing& place_;
  TaskGraphBuilder builder_;
  TaskGraphFile result_;
  Names task_names_{"task"}, buffer_names_{"buffer"}, collective_names_{"collective"};
  std::map<std::string, std::int32_t> layers_;
  std::vector<std::vector<TaskId>> entries_;  ///< by task of the file: those that wait for others
  std::vector<std::vector<TaskId>> done_;     ///< and those that others wait for
  std::size_t dependencies_ = 0;
};

}  // namespace

TaskGraphFile read_task_graph(const std::filesystem::path& path, const OpCompletion& complete,
                              const GroupPlacing& place) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("task_graph");
  const std::string file = root.place();
  const Records records = read_records(root, complete);
  try {
    return Assembly(records, place).run();
  } catch (const Error& error) {
    const std::string message = error.what();
    // What the reader found wrong already names the file; what the builder found does not.
    if (message.rfind(file + ": ", 0) == 0) throw;
    throw Error(error.code(), file + ": " + printable(message, 1000));
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
