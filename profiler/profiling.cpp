#include "profiler/profiling.hpp"

#include <utility>

#include "profiler/fit.hpp"

namespace foreplan {
namespace {

constexpr int kCopyRepeats = 3;
constexpr int kHandoverRounds = 50;

}  // namespace

void Profiling::add(TaskGraph graph, int steps, bool barrier) {
  const std::size_t loaded = session_.load(graph);
  turns_.push_back(
      {.graph = std::move(graph), .loaded = loaded, .steps = steps, .barrier = barrier});
}

void Profiling::add_sequence(TaskGraph graph, int steps) { add(std::move(graph), steps, false); }

void Profiling::add_communication(const CopySizes& sizes, int steps) {
  const int devices = session_.devices();
  if (devices < 2) return;
  add(copy_graph(devices, sizes, kCopyRepeats), steps, false);
  add(handover_graph(devices, kHandoverRounds), steps, false);
  add(barrier_graph(devices, kHandoverRounds), steps, true);
  add(collective_graph(devices, {64_KB, 1_MB, 4_MB}), steps, false);
}

void Profiling::round(int warm_up) {
  for (const Turn& turn : turns_) {
    for (int i = 0; i < warm_up; ++i) session_.step(turn.loaded);
    for (int i = 0; i < turn.steps; ++i) {
      (turn.barrier ? barriers_ : book_).add(turn.graph, session_.step(turn.loaded));
    }
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
