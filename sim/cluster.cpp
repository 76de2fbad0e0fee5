#include "sim/cluster.hpp"

#include <fmt/format.h>

#include <boost/graph/adjacency_list.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <queue>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS,
                                    boost::no_property, LinkId>;

/// How far it is to the destination: hops count first.
struct Distance {
  std::int32_t hops = std::numeric_limits<std::int32_t>::max();
  Duration latency{};
  friend auto operator<=>(const Distance&, const Distance&) = default;
};

Distance operator+(const Distance& distance, const Link& link) {
  return {distance.hops + 1, distance.latency + link.latency};
}

void check_vertices(const std::vector<Vertex>& vertices, std::size_t specs) {
  for (const Vertex& vertex : vertices) {
    if (vertex.kind != VertexKind::device) continue;
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

/// Distances to `target` by breadth-first search against the links, complete for every vertex on a
/// shortest way from `source`.
///
/// All vertices of one distance in hops are settled before the first of the next is expanded, so
/// the least latency among ways of fewest hops is known by then.
std::vector<Distance> distances_to(const Graph& graph, const std::vector<Link>& links,
                                   VertexId target, VertexId source) {
  std::vector<Distance> distance(boost::num_vertices(graph));
  std::queue<std::size_t> open;
  distance[index(target)] = {0, Duration::zero()};
  open.push(index(target));
  while (!open.empty() && distance[open.front()].hops < distance[index(source)].hops) {
    const std::size_t at = open.front();
    open.pop();
    const auto [first, last] = boost::in_edges(at, graph);
    for (auto edge = first; edge != last; ++edge) {
      const std::size_t from = boost::source(*edge, graph);
      const Distance way = distance[at] + links[index(graph[*edge])];
      if (way.hops < distance[from].hops) open.push(from);
      if (way < distance[from]) distance[from] = way;
    }
  }
  return distance;
}

}  // namespace

struct Cluster::Network {
  explicit Network(std::size_t vertices) : graph(vertices) {}
  Graph graph;
};

Cluster::Cluster(std::string name, std::vector<DeviceSpec> specs, std::vector<Vertex> vertices,
                 std::vector<LinkSpec> links)
    : name_(std::move(name)), specs_(std::move(specs)), vertices_(std::move(vertices)) {
  check_vertices(vertices_, specs_.size());
  for (std::size_t v = 0; v < vertices_.size(); ++v) {
    if (vertices_[v].kind == VertexKind::device) device_vertices_.push_back(VertexId(v));
  }
  if (device_vertices_.empty()) reject(fmt::format("cluster '{}' has no device", name_));
  name_processors();

  auto network = std::make_shared<Network>(vertices_.size());
  const auto add = [&](const LinkSpec& spec, VertexId from, VertexId to) {
    boost::add_edge(index(from), index(to), LinkId(links_.size()), network->graph);
    links_.push_back({from, to, spec.bandwidth, spec.latency});
    capacity_.push_back(capacities_);
  };
  for (std::size_t i = 0; i < links.size(); ++i) {
    check_link(links[i], i, vertices_.size());
    add(links[i], links[i].a, links[i].b);
    if (links[i].duplex) ++capacities_;
    add(links[i], links[i].b, links[i].a);
    ++capacities_;
  }
  network_ = std::move(network);
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
    reject(fmt::format("cluster '{}' has {} devices; there is no device {}", name_, devices(),
                       static_cast<std::int32_t>(id)));
  }
  return specs_[static_cast<std::size_t>(vertices_[index(vertex_of(id))].spec)];
}

std::vector<LinkId> Cluster::route(DeviceId source, DeviceId destination) const {
  device(source), device(destination);
  const Graph& graph = network_->graph;
  VertexId at = vertex_of(source);
  const VertexId target = vertex_of(destination);
  const std::vector<Distance> distance = distances_to(graph, links_, target, at);
  if (distance[index(at)] == Distance{}) {
    reject(fmt::format("cluster '{}': there is no way from device {} ('{}') to device {} ('{}')",
                       name_, index(source), vertices_[index(at)].id, index(destination),
                       vertices_[index(target)].id));
  }
  std::vector<LinkId> route;
  while (at != target) {
    // Edges leave a vertex in order of link id, so the first that fits is the lowest.
    auto [edge, last] = boost::out_edges(index(at), graph);
    const auto on_the_way = [&](LinkId link) {
      const Distance& rest = distance[index(links_[index(link)].to)];
      return rest != Distance{} && distance[index(at)] == rest + links_[index(link)];
    };
    while (!on_the_way(graph[*edge])) ++edge;
    route.push_back(graph[*edge]);
    at = links_[index(route.back())].to;
  }
  return route;
}

}  // namespace foreplan
