#include "tests/fuzz/targets.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/model_io.hpp"
#include "models/op_cost.hpp"
#include "models/published.hpp"
#include "models/stack_io.hpp"
#include "planner/plan_io.hpp"
#include "planner/strategy.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"
#include "sim/measurement_io.hpp"
#include "sim/profile_io.hpp"
#include "sim/task_graph_io.hpp"

namespace foreplan::fuzz {
namespace {

/// What a file of clusters finds under the name of a device.
DeviceSpec some_device(const std::string& name) {
  if (name.empty()) reject("no device ''");
  DeviceSpec spec;
  spec.name = name;
  spec.memory = Bytes{1'000'000'000};
  spec.peak[DType::fp32] = 1_TFLOPps;
  spec.memory_bandwidth = 1_GBps;
  return spec;
}

/// A layer graph that was read is written, and what is written is read again. Configs of Hugging
/// Face become graphs of blocks, which a file cannot hold.
void read_and_write_model(const std::string& path, std::string_view /*text*/) {
  const OpGraph graph = read_model(path);
  if (!graph.flat()) return;
  const std::string written = to_json(graph);
  MemoryFile copy;
  copy.write(written);
  if (to_json(read_model(copy.path())) != written) throw std::logic_error("reads back differently");
}

/// Whether a cluster's shorthand stands for so many devices that a million executions would take
/// days. It has a limit of its own, kMostDevices, and tests of it.
bool asks_for_many_devices(std::string_view text) {
  constexpr double kMany = 5000;
  const auto root = nlohmann::json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("nodes") || !root["nodes"].is_array()) return false;
  double devices = 0;
  for (const auto& node : root["nodes"]) {
    if (!node.is_object()) continue;
    double here = 1;
    for (const char* key : {"count", "devices_per_node"}) {
      if (node.contains(key) && node[key].is_number()) here *= node[key].get<double>();
    }
    devices += std::max(here, 0.0);
  }
  return devices > kMany && devices <= static_cast<double>(kMostDevices);
}

void read_one_cluster(const std::string& path, std::string_view text) {
  if (asks_for_many_devices(text)) return;
  const Cluster cluster = read_cluster(path, some_device);
  if (cluster.devices() > 1) cluster.route(DeviceId{0}, DeviceId{1});
}

void read_one_graph(const std::string& path, std::string_view /*text*/) {
  to_json(read_task_graph(path, make_op).graph);
}

void read_one_profile(const std::string& path, std::string_view /*text*/) {
  to_json(read_profile(path));
}

void read_one_measurement(const std::string& path, std::string_view /*text*/) {
  to_json(read_measurement(path));
}

void read_strategy(const std::string& /*path*/, std::string_view text) {
  const std::string written = format(parse_strategy(text));
  if (format(parse_strategy(written)) != written) throw std::logic_error("reads back differently");
}

constexpr auto kTargets = std::to_array<Target>({
    {"model", read_and_write_model, "models/zoo"},
    {"huggingface", read_and_write_model, ""},
    {"device", [](const std::string& path, std::string_view) { read_device(path); },
     "models/devices"},
    {"cluster", read_one_cluster, "models/clusters"},
    {"task_graph", read_one_graph, ""},
    {"profile", read_one_profile, ""},
    {"measurement", read_one_measurement, ""},
    {"plan", [](const std::string& path, std::string_view) { read_plan(path); }, ""},
    {"published", [](const std::string& path, std::string_view) { read_published(path); }, ""},
    {"stack", [](const std::string& path, std::string_view) { read_stack(path); }, "models/stacks"},
    {"strategy", read_strategy, "", false},
    {"json", [](const std::string& path, std::string_view) { JsonDocument::read(path); }, ""},
});

bool one_printable_line(std::string_view message) {
  return !message.empty() && printable(message, message.size()) == message;
}

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target& target_named(std::string_view name) {
  std::string names;
  for (const Target& target : kTargets) {
    if (target.name == name) return target;
    names += (names.empty() ? "" : ", ") + std::string(target.name);
  }
  reject(fmt::format("no fuzz target '{}': expected one of {}", name, names));
}

MemoryFile::MemoryFile()
    : descriptor_(memfd_create("input", MFD_CLOEXEC)),
      path_(fmt::format("/proc/self/fd/{}", descriptor_)) {
  if (descriptor_ < 0) throw Error(ErrorCode::failed, "could not make a file in memory");
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

void MemoryFile::write(std::string_view text) {
  const bool done =
      ftruncate(descriptor_, 0) == 0 &&
      pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  if (!done) throw Error(ErrorCode::failed, "could not write a file in memory");
}

std::optional<std::string> fault(const Target& target, MemoryFile& file, std::string_view text) {
  file.write(text);
  try {
    target.read(file.path(), text);
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (error.code() != ErrorCode::invalid_argument) return fmt::format("code: {}", message);
    if (message.size() > kLongestMessage) {
      return fmt::format("message of {} characters: {}", message.size(), message.substr(0, 300));
    }
    if (!one_printable_line(message)) return fmt::format("more than a line: {}", message);
  } catch (const std::exception& error) {
    return fmt::format("not an Error: {}", error.what());
  }
  return std::nullopt;
}

bool refuses(const Target& target, MemoryFile& file, std::string_view text) {
  file.write(text);
  try {
    target.read(file.path(), text);
  } catch (const Error&) {
    return true;
  }
  return false;
}

}  // namespace foreplan::fuzz
