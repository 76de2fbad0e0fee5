#include "sim/json_names.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace foreplan {
namespace {

constexpr double kMostSeconds = 9.2e6;

/// The value of `Enum`, which has `count`, that is called what `value` says; `before` are the names that
/// the caller knows besides, each with a comma.
template <typename Enum>
Enum named(const JsonValue& value, int count, std::string before = {}) {
  const std::string text = value.text();
  std::string names = std::move(before);
  for (int i = 0; i < count; ++i) {
    const auto candidate = static_cast<Enum>(i);
    if (name(candidate) == text) return candidate;
    names += (i == 0 ? "" : i + 1 == count ? " or " : ", ") + std::string(name(candidate));
  }
  value.expected(names);
}

}  // namespace

Pass read_pass(const JsonValue& value) { return named<Pass>(value, 4); }

DType read_dtype(const JsonValue& value) { return named<DType>(value, 5); }

CollectiveKind read_collective_kind(const JsonValue& value) {
  return named<CollectiveKind>(value, kCollectiveKinds);
}

CollectiveAlgorithm read_collective_algorithm(const JsonValue& value) {
  return named<CollectiveAlgorithm>(value, kCollectiveAlgorithms);
}

std::optional<CollectiveAlgorithm> read_algorithm_or_auto(const JsonValue& value) {
  if (value.text() == "auto") return {};
  return named<CollectiveAlgorithm>(value, kCollectiveAlgorithms, "auto, ");
}

BufferCategory read_buffer_category(const JsonValue& value) {
  return named<BufferCategory>(value, kBufferCategories);
}

Duration read_seconds(const JsonValue& value) {
  const double seconds = value.number(0);
  if (seconds > kMostSeconds) value.expected("at most 9.2e6 seconds");
  return duration_from_seconds(seconds);
}

OpKey read_op_key(JsonObject& object) {
  OpKey key;
  const JsonValue op = object.required("op");
  key.op = op.text();
  if (key.op.empty()) op.expected("the name of an op");
  key.pass = read_pass(object.required("pass"));
  for (const JsonValue& extent : object.required("shape").array()) {
    key.shape.push_back(extent.positive_integer());
  }
  key.dtype = read_dtype(object.required("dtype"));
  if (const auto accumulate = object.optional("accumulate")) key.accumulate = accumulate->boolean();
  return key;
}

void write_op_key(nlohmann::ordered_json& object, const OpKey& key) {
  object["op"] = key.op;
  object["pass"] = name(key.pass);
  object["shape"] = key.shape;
  object["dtype"] = name(key.dtype);
  object["accumulate"] = key.accumulate;
}

}  // namespace foreplan
