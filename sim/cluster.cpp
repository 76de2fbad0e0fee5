#include "sim/cluster.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "sim/error.hpp"
#include "sim/json_text.hpp"
#include "sim/route_search.hpp"

namespace foreplan {
namespace {

void check_vertices(const std::vector<Vertex>& vertices, std::size_t specs) {
  for (const Vertex& vertex : vertices) {
    if (vertex.kind != VertexKind::device) continue;
    if (vertex.node < 0) reject(fmt::format("device '{}' sits in node {}", vertex.id, vertex.node));
    if (vertex.spec < 0 || static_cast<std::size_t>(vertex.spec) >= specs) {
      reject(fmt::format("device '{}' has no specification", vertex.id));
    }
  }
}

void check_link(const Cluster::LinkSpec& link, std::size_t number, std::size_t vertices) {
  for (const VertexId end : {link.a, link.b}) {
    if (static_cast<std::int32_t>(end) >= 0 && index(end) < vertices) continue;
    reject(fmt::format("link {}: there is no vertex {}", number, static_cast<std::int32_t>(end)));
  }
  const double bandwidth = link.bandwidth.bytes_per_s;
  if (!(bandwidth > 0) || !std::isfinite(bandwidth)) {
    reject(fmt::format("link {}: expected a bandwidth above 0 B/s, got {}", number, bandwidth));
  }
  if (link.latency < Duration::zero()) {
    reject(fmt::format("link {}: expected a latency of at least 0 s, got {}", number,
                       format(link.latency)));
  }
}

/// Where the links of each vertex begin in an order by vertex, and behind the last one their end.
std::vector<std::int32_t> first_links(const std::vector<Link>& links, std::size_t vertices) {
  std::vector<std::int32_t> first(vertices + 1, 0);
  for (const Link& link : links) ++first[index(link.from) + 1];
  for (std::size_t v = 0; v < vertices; ++v) first[v + 1] += first[v];
  return first;
}

}  // namespace

Cluster::Cluster(std::string name, std::vector<DeviceSpec> specs, std::vector<Vertex> vertices,
                 std::vector<LinkSpec> links)
    : Cluster(
          std::move(name),
          {.specs = std::move(specs), .vertices = std::move(vertices), .links = std::move(links)}) {
}

Cluster::Cluster(std::string name, Parts parts)
    : name_(std::move(name)),
      source_(std::move(parts.source)),
      specs_(std::move(parts.specs)),
      vertices_(std::move(parts.vertices)),
      node_groups_(std::move(parts.node_groups)),
      fabric_(parts.fabric) {
  check_vertices(vertices_, specs_.size());
  for (std::size_t v = 0; v < vertices_.size(); ++v) {
    if (vertices_[v].kind != VertexKind::device) continue;
    device_vertices_.push_back(VertexId(v));
    nodes_ = std::max(nodes_, vertices_[v].node + 1);
  }
  if (device_vertices_.empty())
    reject(fmt::format("cluster '{}' has no device", printable(name_, 100)));
  name_processors();
  add_links(parts.links);
}

void Cluster::add_links(const std::vector<LinkSpec>& specs) {
  links_.reserve(2 * specs.size());
  capacity_.reserve(2 * specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const LinkSpec& spec = specs[i];
    check_link(spec, i, vertices_.size());
    links_.push_back({spec.a, spec.b, spec.bandwidth, spec.latency});
    links_.push_back({spec.b, spec.a, spec.bandwidth, spec.latency});
    capacity_.push_back(capacities_);
    if (spec.duplex) ++capacities_;
    capacity_.push_back(capacities_++);
  }
  first_link_ = first_links(links_, vertices_.size());
  leaving_.resize(links_.size());
  std::vector<std::int32_t> next(first_link_.begin(), first_link_.end() - 1);
  for (std::size_t i = 0; i < links_.size(); ++i) {
    leaving_[static_cast<std::size_t>(next[index(links_[i].from)]++)] = LinkId(i);
  }
}

void Cluster::name_processors() {
  std::map<std::string, std::int32_t> known;
  for (const VertexId vertex : device_vertices_) {
    const std::string& processor = vertices_[index(vertex)].processor;
    if (processor.empty()) {
      processor_.push_back(processors_++);
      continue;
    }
    const auto [entry, added] = known.emplace(processor, processors_);
    if (added) ++processors_;
    processor_.push_back(entry->second);
  }
}

const DeviceSpec& Cluster::device(DeviceId id) const {
  if (static_cast<std::int32_t>(id) < 0 || index(id) >= device_vertices_.size()) {
    reject(fmt::format("cluster '{}' has {} devices; there is no device {}", printable(name_, 100),
                       devices(), static_cast<std::int32_t>(id)));
  }
  return specs_[static_cast<std::size_t>(vertices_[index(vertex_of(id))].spec)];
}

std::vector<LinkId> Cluster::route(DeviceId source, DeviceId destination) const {
  device(source), device(destination);
  if (source == destination) return {};
  RouteSearch search({vertices_, links_, first_link_, leaving_});
  std::vector<LinkId> route = search.between(vertex_of(source), vertex_of(destination));
  if (!route.empty()) return route;
  reject(fmt::format("cluster '{}': there is no way from device {} ('{}') to device {} ('{}')",
                     printable(name_, 100), index(source),
                     printable(vertices_[index(vertex_of(source))].id, 100), index(destination),
                     printable(vertices_[index(vertex_of(destination))].id, 100)));
}

}  // namespace foreplan
