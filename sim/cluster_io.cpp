#include "sim/cluster_io.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "sim/cluster_parts.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

/// The keys of a device, in a file of its own or inside a cluster.
DeviceSpec read_device_keys(JsonObject& object) {
  DeviceSpec spec;
  spec.name = object.required("name").text();
  spec.memory = {object.required("memory_bytes").positive_integer()};
  for (const auto& [key, value] : object.required("peak_flops_per_s").object().entries()) {
    const auto dtype = dtype_named(key);
    if (!dtype) reject(value.place() + ": expected fp32, tf32, fp16, bf16 or fp8, got another key");
    spec.peak[*dtype] = {value.positive_number()};
  }
  spec.memory_bandwidth = {object.required("memory_bandwidth_bytes_per_s").positive_number()};
  if (const auto overhead = object.optional("launch_overhead_s")) {
    spec.launch_overhead = read_seconds(*overhead);
  }
  if (const auto concurrent = object.optional("concurrent_streams")) {
    spec.concurrent_streams = concurrent->boolean();
  }
  if (const auto source = object.optional("source")) spec.source = source->text();
  object.finish();
  return spec;
}

VertexKind read_vertex_kind(const JsonValue& value) {
  const std::string kind = value.text();
  if (kind == "device") return VertexKind::device;
  if (kind == "switch") return VertexKind::network_switch;
  if (kind == "host") return VertexKind::host;
  value.expected("device, switch or host");
}

using VertexIds = std::map<std::string, VertexId>;

VertexIds read_vertices(JsonObject& root, ClusterParts& parts, DeviceTable& devices) {
  VertexIds ids;
  for (const JsonValue& value : root.required("vertices").array()) {
    JsonObject object = value.object();
    const JsonValue id = object.required("id");
    const VertexId next{static_cast<std::int32_t>(parts.vertices.size())};
    if (!ids.emplace(id.text(), next).second) id.expected("an id that no other vertex has");
    Vertex vertex{id.text(), read_vertex_kind(object.required("kind")), -1};
    if (vertex.kind == VertexKind::device) {
      vertex.spec = devices.spec(object.required("device"));
      if (const auto processor = object.optional("processor")) vertex.processor = processor->text();
    }
    object.finish();
    parts.vertices.push_back(std::move(vertex));
  }
  return ids;
}

VertexId read_end(const JsonValue& value, const VertexIds& ids) {
  const auto found = ids.find(value.text());
  if (found == ids.end()) value.expected("the id of a vertex");
  return found->second;
}

void read_links(JsonObject& root, ClusterParts& parts, const VertexIds& ids) {
  for (const JsonValue& value : root.required("links").array()) {
    JsonObject object = value.object();
    Cluster::LinkSpec link = read_link(object);
    link.a = read_end(object.required("from"), ids);
    const JsonValue to = object.required("to");
    link.b = read_end(to, ids);
    if (link.a == link.b) to.expected("another vertex than \"from\"");
    if (const auto duplex = object.optional("duplex")) link.duplex = duplex->boolean();
    object.finish();
    parts.links.push_back(link);
  }
}

}  // namespace

std::int32_t DeviceTable::spec(const JsonValue& value) {
  const auto next = static_cast<std::int32_t>(parts_.specs.size());
  if (value.is_object()) {
    JsonObject object = value.object();
    parts_.specs.push_back(read_device_keys(object));
    return next;
  }
  if (!value.is_text()) value.expected("the name of a device or an object");
  const auto [known, added] = known_.emplace(value.text(), next);
  if (!added) return known->second;
  if (!lookup_) value.expected("an object, for no devices are known by name here");
  try {
    parts_.specs.push_back(lookup_(value.text()));
  } catch (const Error& error) {
    throw Error(error.code(), value.place() + ": " + error.what());
  }
  return next;
}

Cluster::LinkSpec read_link(JsonObject& object) {
  Cluster::LinkSpec link;
  link.bandwidth = {object.required("bandwidth_bytes_per_s").positive_number()};
  link.latency = read_seconds(object.required("latency_s"));
  return link;
}

DeviceSpec read_device(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("device");
  return read_device_keys(root);
}

Cluster read_cluster(const std::filesystem::path& path, const DeviceLookup& devices) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("cluster");
  const std::string name = root.required("name").text();
  if (const auto source = root.optional("source")) source->text();
  ClusterParts parts;
  DeviceTable table(parts, devices);
  if (root.optional("vertices")) {
    read_links(root, parts, read_vertices(root, parts, table));
  } else {
    read_shorthand(root, parts, table);
  }
  root.finish();
  try {
    return Cluster(name, std::move(parts.specs), std::move(parts.vertices), std::move(parts.links));
  } catch (const Error& error) {
    throw Error(error.code(), root.place() + ": " + error.what());
  }
}

}  // namespace foreplan
