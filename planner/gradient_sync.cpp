#include "planner/gradient_sync.hpp"

#include <algorithm>

namespace foreplan {
namespace {

std::int64_t part(std::int64_t whole, std::int64_t parts) { return (whole + parts - 1) / parts; }

/// Fills buckets and hands them to the wire, one behind the other.
class Wire {
 public:
  Wire(const Strategy& strategy, const RankGroups& groups, const Stack& stack)
      : groups_(groups),
        stack_(stack),
        kind_(strategy.zero >= 1 ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce),
        limit_(stack.first_bucket) {}

  void add(const UnitWork& unit, Duration ready) {
    const std::int64_t bytes = stack_.gradient_bytes;
    filled_ += Bytes{unit.dense_parameters * bytes};
    while (filled_ >= limit_) {
      send(limit_, groups_.data(), ready);
      filled_ -= limit_;
      limit_ = stack_.bucket;
    }
    if (unit.expert_parameters > 0) {
      send(Bytes{unit.expert_parameters * bytes}, groups_.expert_data(), ready);
    }
  }

  Duration flush(Duration ready) {
    if (filled_ > Bytes{}) send(filled_, groups_.data(), ready);
    filled_ = {};
    return free_;
  }

 private:
  void send(Bytes bytes, const GroupPlacement& group, Duration ready) {
    if (bytes != last_bytes_ || &group != last_group_) {
      last_time_ = exchange_time(kind_, bytes, group);
      last_bytes_ = bytes;
      last_group_ = &group;
    }
    free_ = std::max(free_, ready) + last_time_;
  }

  const RankGroups& groups_;
  const Stack& stack_;
  CollectiveKind kind_;
  Bytes limit_, filled_{};
  Duration free_{};
  // Most buckets are alike.
  Bytes last_bytes_{-1};
  const GroupPlacement* last_group_ = nullptr;
  Duration last_time_{};
};

}  // namespace

Duration gradients_done(const std::vector<LastBackward>& chunks, const Strategy& strategy,
                        const RankGroups& groups, const Stack& stack) {
  Duration last{};
  for (const LastBackward& chunk : chunks) last = std::max(last, chunk.finish);
  if (groups.data_ranks() == 1) return last;
  Wire wire(strategy, groups, stack);
  Duration done = last;
  for (const LastBackward& chunk : chunks) {
    Duration ready = chunk.start;
    for (std::size_t u = 0; u < chunk.units.size(); ++u) {
      ready += chunk.times[u];
      wire.add(*chunk.units[u], stack.overlap_gradients ? ready : last);
    }
    done = std::max(done, wire.flush(stack.overlap_gradients ? chunk.finish : last));
  }
  return done;
}

std::int64_t own_parameters(const StageState& state, const Strategy& strategy,
                            const RankGroups& groups) {
  if (strategy.zero == 0) return state.dense + state.expert;
  return part(state.dense, groups.data_ranks()) + part(state.expert, groups.expert_data_ranks());
}

Duration gather_updated(const StageState& state, const Strategy& strategy, const RankGroups& groups,
                        const Stack& stack, DType dtype) {
  if (strategy.zero != 1 && strategy.zero != 2) return {};
  if (stack.overlap_parameters) return {};
  const auto gather = [&](std::int64_t parameters, const GroupPlacement& group) {
    if (parameters == 0) return Duration{};
    return exchange_time(CollectiveKind::all_gather, parameters * element_size(dtype), group);
  };
  return gather(state.dense, groups.data()) + gather(state.expert, groups.expert_data());
}

}  // namespace foreplan
