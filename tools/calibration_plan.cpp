#include "tools/calibration_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/error.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

/// No constant moves further from its start than this many times.
constexpr double kWidest = 20;

/// [start, spread] or [start, spread, most].
FittedConstant read_constant(const std::string& name, const JsonValue& value) {
  const std::vector<JsonValue> numbers = value.array();
  if (numbers.size() != 2 && numbers.size() != 3) value.expected("[start, spread] or [..., most]");
  FittedConstant constant{
      .name = name, .start = numbers[0].positive_number(), .spread = numbers[1].positive_number()};
  constant.least = constant.start / kWidest;
  constant.most = numbers.size() == 3 ? numbers[2].positive_number() : constant.start * kWidest;
  if (constant.most < constant.start) value.expected("a start that is at most the most");
  return constant;
}

std::vector<std::string> read_names(const JsonValue& value) {
  std::vector<std::string> names;
  for (const JsonValue& name : value.array()) names.push_back(name.text());
  return names;
}

void read_host_heirs(const JsonValue& value, CalibrationFamily& family) {
  for (const auto& [stack, heirs] : value.object().entries()) {
    const bool fitted = std::any_of(family.launches.begin(), family.launches.end(),
                                    [&](const FittedConstant& each) { return each.name == stack; });
    if (!fitted) reject(fmt::format("{}: expected a stack of host_launch_s", heirs.place()));
    family.host_heirs[stack] = read_names(heirs);
  }
}

CalibrationFamily read_family(const JsonValue& value) {
  JsonObject object = value.object();
  CalibrationFamily family;
  family.name = object.required("name").text();
  family.devices = read_names(object.required("devices"));
  if (const auto heirs = object.optional("heirs")) family.heirs = read_names(*heirs);
  family.attention_generation =
      static_cast<int>(object.required("attention_generation").integer(1, 3));
  const std::vector<std::string> known = constant_names();
  for (const auto& [name, constant] : object.required("constants").object().entries()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      reject(fmt::format("{}: expected one of {}", constant.place(), fmt::join(known, ", ")));
    }
    family.constants.push_back(read_constant(name, constant));
  }
  if (const auto launches = object.optional("host_launch_s")) {
    for (const auto& [stack, constant] : launches->object().entries()) {
      family.launches.push_back(read_constant(stack, constant));
    }
  }
  if (const auto heirs = object.optional("host_heirs")) read_host_heirs(*heirs, family);
  object.finish();
  return family;
}

}  // namespace

std::vector<std::string> constant_names() {
  return {"matrix_efficiency.half",
          "matrix_efficiency.fp8",
          "matrix_efficiency.tf32",
          "matrix_efficiency.fp32",
          "l2_bandwidth_bytes_per_s",
          "tile_overhead_s",
          "misaligned_efficiency",
          "attention_forward_efficiency",
          "attention_backward_efficiency",
          "memory_efficiency",
          "memory_ramp_s",
          "product_power"};
}

std::vector<CalibrationFamily> read_calibration(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("calibration");
  root.required("source").text();
  std::vector<CalibrationFamily> families;
  for (const JsonValue& value : root.required("families").array()) {
    families.push_back(read_family(value));
  }
  root.finish();
  return families;
}

}  // namespace foreplan
