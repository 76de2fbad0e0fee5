#include "sim/cluster_io.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "sim/cluster_parts.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

VertexKind read_vertex_kind(const JsonValue& value) {
  const std::string kind = value.text();
  if (kind == "device") return VertexKind::device;
  if (kind == "switch") return VertexKind::network_switch;
  if (kind == "host") return VertexKind::host;
  value.expected("device, switch or host");
}

using VertexIds = std::map<std::string, VertexId>;

/// Numbers the names of nodes in the order in which they first appear.
class NodeNames {
 public:
  std::int32_t number(const std::string& name) {
    return known_.emplace(name, static_cast<std::int32_t>(known_.size())).first->second;
  }

 private:
  std::map<std::string, std::int32_t> known_;
};

VertexIds read_vertices(JsonObject& root, Cluster::Parts& parts, DeviceTable& devices) {
  VertexIds ids;
  NodeNames nodes;
  for (const JsonValue& value : root.required("vertices").array()) {
    JsonObject object = value.object();
    const JsonValue id = object.required("id");
    const VertexId next{static_cast<std::int32_t>(parts.vertices.size())};
    if (!ids.emplace(id.text(), next).second) id.expected("an id that no other vertex has");
    Vertex vertex{id.text(), read_vertex_kind(object.required("kind")), -1};
    if (vertex.kind == VertexKind::device) {
      vertex.spec = devices.spec(object.required("device"));
      if (const auto processor = object.optional("processor")) vertex.processor = processor->text();
      if (const auto node = object.optional("node")) vertex.node = nodes.number(node->text());
    }
    if (const auto forwards = object.optional("forwards")) vertex.forwards = forwards->boolean();
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

void read_links(JsonObject& root, Cluster::Parts& parts, const VertexIds& ids) {
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
  if (!value.is_object() && !value.is_text()) value.expected("the name of a device or an object");
  const auto next = static_cast<std::int32_t>(parts_.specs.size());
  const auto [known, added] = known_.emplace(value.json(), next);
  if (!added) return known->second;
  if (value.is_object()) {
    JsonObject object = value.object();
    parts_.specs.push_back(read_device_keys(object));
    return next;
  }
  if (!lookup_) value.expected("an object, for no devices are known by name here");
  try {
    parts_.specs.push_back(lookup_(value.text()));
  } catch (const Error& error) {
    throw Error(error.code(), value.place() + ": " + printable(error.what(), 1000));
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

Cluster read_cluster(const std::filesystem::path& path, const DeviceLookup& devices, int nodes) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("cluster");
  std::string name = root.required("name").text();
  if (nodes > 0) name += fmt::format("x{}", nodes);
  Cluster::Parts parts;
  if (const auto source = root.optional("source")) parts.source = source->text();
  DeviceTable table(parts, devices);
  if (const auto vertices = root.optional("vertices")) {
    if (nodes > 0) {
      reject(fmt::format("{}: expected \"nodes\", of which there can be {}, got a cluster in full",
                         vertices->place(), nodes));
    }
    read_links(root, parts, read_vertices(root, parts, table));
  } else {
    read_shorthand(root, nodes, parts, table);
  }
  root.finish();
  try {
    return Cluster(std::move(name), std::move(parts));
  } catch (const Error& error) {
    throw Error(error.code(), root.place() + ": " + printable(error.what(), 1000));
  }
}

}  // namespace foreplan
