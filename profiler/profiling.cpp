#include "profiler/profiling.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "profiler/fit.hpp"

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

void Profiling::add(TaskGraph graph, bool barrier) {
  const std::size_t loaded = session_.load(graph);
  session_.step(loaded);
  const Duration step = makespan(session_.step(loaded).timeline);
  turns_.push_back({.graph = std::move(graph),
                    .loaded = loaded,
                    .steps = steps_of_turn(step, options_),
                    .barrier = barrier});
}

void Profiling::add_communication(const CopySizes& sizes) {
  const int devices = session_.devices();
  if (devices < 2) return;
  add(copy_graph(devices, sizes, kCopyRepeats), false);
  add(handover_graph(devices, kHandoverRounds), false);
  add(barrier_graph(devices, kHandoverRounds), true);
  add(collective_graph(devices, {64_KB, 1_MB, 4_MB}), false);
}

void Profiling::round(const std::function<void(std::size_t, std::size_t)>& progress) {
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const Turn& turn = turns_[i];
    for (int n = 0; n < options_.warm_up; ++n) session_.step(turn.loaded);
    for (int n = 0; n < turn.steps; ++n) {
      (turn.barrier ? barriers_ : book_).add(turn.graph, session_.step(turn.loaded));
    }
    if (progress) progress(i + 1, turns_.size());
  }
}

Profile Profiling::profile(const Profile::Device& device) const {
  Profile profile = book_.summary();
  profile.device = device;
  profile.barrier = barriers_.summary().handover;
  profile.fits = fit_profile(profile);
  return profile;
}

}  // namespace foreplan
