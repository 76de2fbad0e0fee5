#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "sim/collective.hpp"
#include "sim/json_reader.hpp"
#include "sim/op.hpp"
#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// The most devices that a file may speak of.
inline constexpr std::int64_t kMostDevices = 1'000'000;

/// The values that several kinds of file share; each throws Error naming file and place.
Pass read_pass(const JsonValue& value);
DType read_dtype(const JsonValue& value);
CollectiveKind read_collective_kind(const JsonValue& value);
CollectiveAlgorithm read_collective_algorithm(const JsonValue& value);
/// The same or "auto", which is none.
std::optional<CollectiveAlgorithm> read_algorithm_or_auto(const JsonValue& value);
BufferCategory read_buffer_category(const JsonValue& value);
/// A number of seconds >= 0 that a Duration holds.
Duration read_seconds(const JsonValue& value);

/// Reads the keys op, pass, shape, dtype and, false by default, accumulate.
OpKey read_op_key(JsonObject& object);
/// Writes them.
void write_op_key(nlohmann::ordered_json& object, const OpKey& key);

}  // namespace foreplan
