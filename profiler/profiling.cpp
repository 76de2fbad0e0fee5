#include "profiler/profiling.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "profiler/copy_patterns.hpp"
#include "profiler/fit.hpp"
#include "profiler/issue_probe.hpp"
#include "profiler/op_sequence.hpp"

namespace foreplan {
namespace {

constexpr int kCopyRepeats = 3;
constexpr int kHandoverRounds = 50;

}  // namespace

int steps_of_turn(Duration step, const ProfilingOptions& options) {
  const auto wanted = options.turn / std::max(step, Duration{1}) + 1;
  return static_cast<int>(
      std::clamp<std::int64_t>(wanted, options.least_steps, options.most_steps));
}

void Profiling::add(TaskGraph graph, Tells tells) {
  const std::size_t loaded = session_.load(graph);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.kind[i] == TaskKind::transfer) continue;
    const std::string choice = session_.choice(loaded, TaskId{static_cast<std::int32_t>(i)});
    if (!choice.empty()) book_.note_choice(graph.ops[index(graph.op[i])].key, choice);
  }
  session_.step(loaded);
  const Duration step = makespan(session_.step(loaded).timeline);
  turns_.push_back({.graph = std::move(graph),
                    .loaded = loaded,
                    .steps = steps_of_turn(step, options_),
                    .tells = tells});
}

void Profiling::add_communication(const CopySizes& sizes) {
  const int devices = session_.devices();
  const bool ahead = session_.issues_ahead();
  const Bytes head_start = ahead ? options_.head_start : Bytes{};
  if (ahead) add(dependent_graph(kHandoverRounds, head_start), Tells::gaps);
  if (devices < 2) return;
  const Tells work = ahead ? Tells::work : Tells::everything;
  if (ahead) {
    add_copies_apart(sizes);
  } else {
    add(copy_graph(devices, sizes, kCopyRepeats), work);
  }
  add(handover_graph(devices, kHandoverRounds, head_start),
      ahead ? Tells::gaps : Tells::everything);
  add(barrier_graph(devices, kHandoverRounds, head_start), Tells::barrier);
  add(collective_graph(devices, {64_KB, 1_MB, 4_MB}), work);
}

void Profiling::add_copies_apart(const CopySizes& sizes) {
  if (sizes.sizes.empty()) return;
  const std::vector<Bytes> blocks(sizes.sizes.begin(), sizes.sizes.end());
  const int devices = session_.devices();
  for (int a = 0; a < devices; ++a) {
    for (int b = 0; b < devices; ++b) {
      if (a == b) continue;
      add(lone_copy_graph(devices, {DeviceId{a}, DeviceId{b}}, blocks, kCopyRepeats), Tells::work);
    }
  }
  std::vector<OpKey> adds;
  for (const Bytes bytes : blocks) {
    const std::int64_t elements = (bytes.count + 3) / 4;
    adds.push_back({.op = "copy", .shape = {elements}});
    adds.push_back({.op = "accumulate", .shape = {elements}});
  }
  add(op_sequence(adds, {}), Tells::work);
}

void Profiling::unload() {
  for (const Turn& turn : turns_) session_.unload(turn.loaded);
  turns_.clear();
}

void Profiling::count(const Turn& turn, const MeasuredStep& step) {
  switch (turn.tells) {
    case Tells::everything:
      return book_.add(turn.graph, step);
    case Tells::work:
      return book_.add_work(turn.graph, step);
    case Tells::gaps:
      return gaps_.add(turn.graph, step);
    case Tells::barrier:
      return barriers_.add(turn.graph, step);
  }
}

void Profiling::round(const std::function<void(std::size_t, std::size_t)>& progress) {
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const Turn& turn = turns_[i];
    for (int n = 0; n < options_.warm_up; ++n) session_.step(turn.loaded);
    for (int n = 0; n < turn.steps; ++n) {
      count(turn, session_.step(turn.loaded));
    }
    if (progress) progress(i + 1, turns_.size());
  }
}

Profile Profiling::profile(const Profile::Device& device) const {
  Profile profile = book_.summary();
  profile.device = device;
  if (session_.issues_ahead()) {
    const Profile gaps = gaps_.summary();
    profile.dispatch = gaps.dispatch;
    profile.handover = gaps.handover;
  }
  for (ProfiledCopy& copy : profile.copies) {
    copy.path = session_.path(copy.source, copy.destination);
  }
  profile.barrier = barriers_.summary().handover;
  profile.fits = fit_profile(profile);
  return profile;
}

}  // namespace foreplan
