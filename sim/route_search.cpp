#include "sim/route_search.hpp"

#include <utility>

namespace foreplan {

std::span<const LinkId> LinkGraph::from(VertexId vertex) const {
  const auto begin = static_cast<std::size_t>(first[index(vertex)]);
  const auto end = static_cast<std::size_t>(first[index(vertex) + 1]);
  return leaving.subspan(begin, end - begin);
}

bool RouteSearch::Rest::improves(const Rest& other) const {
  return std::pair(latency, link) < std::pair(other.latency, other.link);
}

bool RouteSearch::forwards(VertexId vertex) const {
  return graph_.vertices[index(vertex)].forwards;
}

void RouteSearch::begin(Side& side, VertexId end) {
  side = {};
  side.levels.push_back({end});
  side.hops.emplace(end, 0);
  side.work = graph_.from(end).size();
}

void RouteSearch::note_rest(VertexId vertex, const Rest& rest) {
  const auto [known, added] = rest_.emplace(vertex, rest);
  if (!added && rest.improves(known->second)) known->second = rest;
}

/// Adds the next level. On the target's side it notes what is left from there on.
/// @return whether a route goes through it
bool RouteSearch::grow(Side& side, const Side& other) {
  const bool to_target = &side == &near_target_;
  const int hops = static_cast<int>(side.levels.size());
  std::vector<VertexId> next;
  bool met = false;
  side.work = 0;
  for (const VertexId at : side.levels.back()) {
    if (hops > 1 && !forwards(at)) continue;
    for (const LinkId id : graph_.from(at)) {
      const Link& link = graph_.links[index(id)];
      const auto [known, added] = side.hops.emplace(link.to, hops);
      if (known->second != hops) continue;
      const LinkId back{static_cast<std::int32_t>(id) ^ 1};
      if (to_target) note_rest(link.to, {rest_.at(at).latency + link.latency, back});
      if (!added) continue;
      next.push_back(link.to);
      side.work += graph_.from(link.to).size();
      const auto there = other.hops.find(link.to);
      met |= there != other.hops.end() && (there->second == 0 || forwards(link.to));
    }
  }
  side.levels.push_back(std::move(next));
  return met;
}

/// What is left from the vertices of the meeting level.
RouteSearch::Rests RouteSearch::meeting() const {
  const int reach = static_cast<int>(near_target_.levels.size()) - 1;
  Rests result;
  for (const VertexId vertex : near_source_.levels.back()) {
    const auto there = near_target_.hops.find(vertex);
    if (there == near_target_.hops.end() || there->second != reach) continue;
    const bool is_end = reach == 0 || near_source_.levels.size() == 1;
    if (is_end || forwards(vertex)) result.emplace(vertex, rest_.at(vertex));
  }
  return result;
}

/// What is left from `vertex` by way of the vertices `ahead`, the next level; link -1: no way.
RouteSearch::Rest RouteSearch::best_by(VertexId vertex, const Rests& ahead) const {
  Rest best;
  for (const LinkId id : graph_.from(vertex)) {
    const Link& link = graph_.links[index(id)];
    const auto on = ahead.find(link.to);
    if (on == ahead.end()) continue;
    const Rest rest{on->second.latency + link.latency, id};
    if (best.link == LinkId{-1} || rest.improves(best)) best = rest;
  }
  return best;
}

/// Notes what is left for the source's side, from the meeting level back to the source.
void RouteSearch::carry_over() {
  Rests ahead = meeting();
  for (std::size_t level = near_source_.levels.size() - 1; level-- > 0;) {
    Rests here;
    for (const VertexId vertex : near_source_.levels[level]) {
      if (level > 0 && !forwards(vertex)) continue;
      const Rest rest = best_by(vertex, ahead);
      if (rest.link == LinkId{-1}) continue;
      here.emplace(vertex, rest);
      rest_[vertex] = rest;
    }
    ahead = std::move(here);
  }
}

std::vector<LinkId> RouteSearch::follow(VertexId source, VertexId target) const {
  std::vector<LinkId> route;
  for (VertexId at = source; at != target; at = graph_.links[index(route.back())].to) {
    route.push_back(rest_.at(at).link);
  }
  return route;
}

std::vector<LinkId> RouteSearch::between(VertexId source, VertexId target) {
  if (source == target) return {};
  rest_.clear();
  rest_.emplace(target, Rest{});
  begin(near_source_, source);
  begin(near_target_, target);
  bool met = false;
  while (!met) {
    const bool forward = near_source_.work <= near_target_.work;
    Side& side = forward ? near_source_ : near_target_;
    met = grow(side, forward ? near_target_ : near_source_);
    if (!met && side.levels.back().empty()) return {};
  }
  carry_over();
  return follow(source, target);
}

}  // namespace foreplan
