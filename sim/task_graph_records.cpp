#include "sim/task_graph_records.hpp"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

/// A ring of n ranks has 2 n (n - 1) tasks.
constexpr int kMostRanks = 1024;

FileTaskKind read_kind(const JsonValue& value) {
  const std::string kind = value.text();
  if (kind == "compute") return FileTaskKind::compute;
  if (kind == "transfer") return FileTaskKind::transfer;
  if (kind == "collective") return FileTaskKind::collective;
  if (kind == "host") return FileTaskKind::host;
  value.expected("compute, transfer, collective or host");
}

Bytes read_bytes(const JsonValue& value) { return {value.integer(0)}; }

/// The work of `key` as far as the file does not tell it.
Op completed(const JsonValue& place, OpKey key, const OpCompletion& complete) {
  if (!complete) {
    reject(
        fmt::format("{}: expected flops and bytes_accessed, got only one or none", place.place()));
  }
  try {
    return complete(std::move(key));
  } catch (const Error& error) {
    throw Error(error.code(), place.place() + ": " + printable(error.what(), 1000));
  }
}

Op read_op(const JsonValue& value, bool timed, const OpCompletion& complete) {
  JsonObject object = value.object();
  Op op{.key = read_op_key(object), .flops = {}, .traffic = {}};
  const auto flops = object.optional("flops");
  const auto traffic = object.optional("bytes_accessed");
  object.finish();
  if ((!flops || !traffic) && !timed) op = completed(value, op.key, complete);
  if (flops) op.flops = {flops->number(0)};
  if (traffic) op.traffic = read_bytes(*traffic);
  return op;
}

/// The op of a compute or host task: `op`, `duration_s` or both.
Op read_work(JsonObject& object, const OpCompletion& complete) {
  const auto duration = object.optional("duration_s");
  const auto op = object.optional("op");
  if (!duration && !op) {
    reject(object.place() + ": expected the key \"duration_s\" or \"op\", got neither");
  }
  if (!op) return given_op(read_seconds(*duration));
  Op work = read_op(*op, duration.has_value(), complete);
  if (duration) work.given = read_seconds(*duration);
  return work;
}

void read_transfer(JsonObject& object, TaskRecord& task) {
  task.source = read_device_index(object.required("source"));
  task.bytes = read_bytes(object.required("bytes"));
  const JsonValue destination = object.required("destination");
  task.device = read_device_index(destination);
  if (const auto device = object.optional("device")) {
    if (read_device_index(*device) != task.device) {
      device->expected(fmt::format("the transfer's destination, {}", index(task.device)));
    }
  }
}

/// Without one: a ring where there is one of that kind, else the direct way.
std::optional<CollectiveAlgorithm> read_algorithm(JsonObject& object, CollectiveKind kind) {
  const auto value = object.optional("algorithm");
  if (!value) {
    return collective_refusal(kind, CollectiveAlgorithm::ring, {2, 1}) ? CollectiveAlgorithm::direct
                                                            : CollectiveAlgorithm::ring;
  }
  return read_algorithm_or_auto(*value);
}

CollectiveTuning read_tuning(JsonObject& object) {
  CollectiveTuning tuning;
  if (const auto chunks = object.optional("chunks")) {
    tuning.chunks = static_cast<int>(chunks->integer(1, kMostCollectiveChunks));
  }
  if (const auto channels = object.optional("channels")) {
    tuning.channels = static_cast<int>(channels->integer(1, kMostRanks));
  }
  if (const auto across = object.optional("across")) {
    tuning.across = read_collective_algorithm(*across);
  }
  return tuning;
}

void read_collective(JsonObject& object, TaskRecord& task) {
  task.operation = read_collective_kind(object.required("operation"));
  task.place = object.place();
  task.algorithm = read_algorithm(object, task.operation);
  task.tuning = read_tuning(object);
  if (const auto ranks = object.optional("ranks_per_node")) {
    task.ranks_per_node = static_cast<int>(ranks->integer(1, kMostRanks));
  }
  task.bytes = {object.required("bytes").positive_integer()};
  task.group = read_group(object.required("group"));
}

/// The keys that every kind but a collective may have.
void read_extras(JsonObject& object, TaskRecord& task) {
  task.ring = object.optional("collective");
  if (const auto layer = object.optional("layer")) task.layer = layer->text();
  if (const auto batch = object.optional("micro_batch")) {
    task.micro_batch =
        static_cast<std::int32_t>(batch->integer(0, std::numeric_limits<std::int32_t>::max()));
  }
  if (const auto allocates = object.optional("allocates")) {
    for (const JsonValue& entry : allocates->array()) {
      JsonObject buffer = entry.object();
      task.allocates.push_back(read_buffer_record(buffer, task.device));
      buffer.finish();
    }
  }
  if (const auto frees = object.optional("frees")) task.frees = frees->array();
}

}  // namespace

Op given_op(Duration duration) {
  Op op;
  op.key.op = kGivenOp;
  op.given = duration;
  return op;
}

DeviceId read_device_index(const JsonValue& value) {
  return DeviceId{static_cast<std::int32_t>(value.integer(0, kMostDevices - 1))};
}

std::vector<DeviceId> read_group(const JsonValue& value) {
  std::vector<DeviceId> group;
  std::set<DeviceId> seen;
  for (const JsonValue& entry : value.array()) {
    group.push_back(read_device_index(entry));
    if (!seen.insert(group.back()).second) entry.expected("each device once");
  }
  if (group.empty()) value.expected("at least one device");
  if (group.size() > std::size_t{kMostRanks})
    value.expected(fmt::format("at most {} devices", kMostRanks));
  return group;
}

BufferRecord read_buffer_record(JsonObject& object, DeviceId device) {
  const JsonValue name = object.required("buffer");
  Buffer buffer{.device = device, .bytes = read_bytes(object.required("bytes"))};
  buffer.name = name.text();
  if (const auto category = object.optional("category")) {
    buffer.category = read_buffer_category(*category);
  }
  return {name, std::move(buffer)};
}

TaskRecord read_task_record(const JsonValue& value, const OpCompletion& complete) {
  JsonObject object = value.object();
  TaskRecord task{.id = object.required("id")};
  if (task.id.text().empty()) task.id.expected("an id");
  task.kind = read_kind(object.required("kind"));
  if (const auto stream = object.optional("stream")) task.stream = stream->text();
  if (const auto after = object.optional("after")) task.after = after->array();
  if (task.kind == FileTaskKind::collective) {
    read_collective(object, task);
    object.finish();
    return task;
  }
  if (task.kind == FileTaskKind::transfer) {
    read_transfer(object, task);
  } else {
    task.device = read_device_index(object.required("device"));
    task.op = read_work(object, complete);
  }
  read_extras(object, task);
  object.finish();
  return task;
}

}  // namespace foreplan
