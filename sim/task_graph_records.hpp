#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/collective.hpp"
#include "sim/json_reader.hpp"
#include "sim/task_graph.hpp"
#include "sim/task_graph_io.hpp"

namespace foreplan {

/// What the op of a task is called that has a duration and nothing else.
inline constexpr const char* kGivenOp = "given";
Op given_op(Duration duration);

enum class FileTaskKind : std::uint8_t { compute, transfer, collective, host };

/// A buffer that a task of a file allocates, or a persistent one.
struct BufferRecord {
  JsonValue name;
  Buffer buffer;
};

/// A task as its file has it; ids are not looked up yet.
struct TaskRecord {
  JsonValue id;
  FileTaskKind kind{};
  DeviceId device{};  ///< of a transfer, its destination
  std::optional<std::string> stream{};
  std::optional<Op> op{};      ///< compute, host
  DeviceId source{};           ///< transfer
  Bytes bytes{};               ///< transfer, collective
  CollectiveKind operation{};  ///< collective
  /// collective; none: by cost
  std::optional<CollectiveAlgorithm> algorithm{};
  CollectiveTuning tuning{};           ///< collective
  int ranks_per_node = 0;              ///< collective; 0: the file does not say
  std::string place{};                 ///< collective: in the file
  std::vector<DeviceId> group{};       ///< collective
  std::optional<JsonValue> ring{};     ///< the entry of `collectives` that it is part of
  std::optional<std::string> layer{};  ///< of the model
  std::int32_t micro_batch = -1;
  std::vector<JsonValue> after{};
  std::vector<BufferRecord> allocates{};
  std::vector<JsonValue> frees{};
};

/// @throws Error(invalid_argument) naming file and place
TaskRecord read_task_record(const JsonValue& value, const OpCompletion& complete);

/// Reads the keys buffer, bytes and category of an object that may have more.
BufferRecord read_buffer_record(JsonObject& object, DeviceId device);
DeviceId read_device_index(const JsonValue& value);
/// At least one device, none twice.
std::vector<DeviceId> read_group(const JsonValue& value);

}  // namespace foreplan
