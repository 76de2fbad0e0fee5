#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "sim/cluster.hpp"

namespace foreplan {

/// A graph whose edges are links: 2i and 2i + 1 are the two directions of one connection and have
/// the same latency.
struct LinkGraph {
  std::span<const Vertex> vertices;
  std::span<const Link> links;
  std::span<const std::int32_t> first;  ///< by vertex, and one more: into `leaving`
  std::span<const LinkId> leaving;      ///< by the vertex that they leave, ids ascending

  std::span<const LinkId> from(VertexId vertex) const;
};

/// Searches one route: fewest hops, then least latency, then lowest link ids from the source.
///
/// Two breadth-first searches meet in the middle. Each step expands the side with fewer links to
/// look at, so a switch that joins thousands of nodes is reached but not expanded. When they meet
/// after a hops from the source and b from the target, every route of fewest hops goes through a
/// vertex with exactly these distances. What is left to the target and over which link is known for
/// all vertices of the target's side; it is carried over to those of the source's side, level by
/// level.
class RouteSearch {
 public:
  explicit RouteSearch(const LinkGraph& graph) : graph_(graph) {}

  /// The links of the route; empty if there is none.
  std::vector<LinkId> between(VertexId source, VertexId target);

 private:
  /// From a vertex on.
  struct Rest {
    Duration latency{};
    LinkId link{-1};  ///< the next one
    bool improves(const Rest& other) const;
  };
  using Rests = std::unordered_map<VertexId, Rest>;
  /// What is known around one end.
  struct Side {
    std::vector<std::vector<VertexId>> levels;  ///< by hops from the end
    std::unordered_map<VertexId, int> hops;
    std::size_t work = 0;  ///< links that leave the last level
  };

  void begin(Side& side, VertexId end);
  bool grow(Side& side, const Side& other);
  void note_rest(VertexId vertex, const Rest& rest);
  Rests meeting() const;
  Rest best_by(VertexId vertex, const Rests& ahead) const;
  void carry_over();
  std::vector<LinkId> follow(VertexId source, VertexId target) const;
  bool forwards(VertexId vertex) const;

  LinkGraph graph_;
  Side near_source_, near_target_;
  Rests rest_;
};

}  // namespace foreplan
