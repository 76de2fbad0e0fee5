#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "profiler/calibration.hpp"
#include "profiler/samples.hpp"
#include "profiler/session.hpp"
#include "sim/profile.hpp"

namespace foreplan {

/// How much is measured in a round.
struct ProfilingOptions {
  int warm_up = 2;                                ///< steps at the start of a turn, not counted
  Duration turn = std::chrono::milliseconds(60);  ///< each graph runs at least so long ...
  int least_steps = 3;                            ///< ... and so often,
  int most_steps = 100;                           ///< but not more often than this
};

/// How many steps of length `step` fill a turn.
int steps_of_turn(Duration step, const ProfilingOptions& options);

/// Measures what things cost on a Session's devices, in rounds.
///
/// Rounds can be spread between other work (`foreplan validate` does), so that what is measured here
/// and there sees the same machine. Each graph is warmed up at the start of its turn and then run
/// some times in a row, as training would.
class Profiling {
 public:
  Profiling(Session& session, const ProfilingOptions& options)
      : session_(session), options_(options) {}

  /// A step without communication, of which every op is measured in its own sequence.
  void add_sequence(TaskGraph graph) { add(std::move(graph), false); }
  /// Copies and adds of these sizes, hand-over, barrier and all-reduces; nothing with one device.
  void add_communication(const CopySizes& sizes);

  /// Runs every graph for a turn. `progress` is told how many of how many are done.
  void round(const std::function<void(std::size_t done, std::size_t all)>& progress);

  /// All rounds so far, summarised and fitted.
  Profile profile(const Profile::Device& device) const;

 private:
  struct Turn {
    TaskGraph graph;
    std::size_t loaded = 0;
    int steps = 1;
    bool barrier = false;
  };
  void add(TaskGraph graph, bool barrier);

  Session& session_;
  ProfilingOptions options_;
  std::vector<Turn> turns_;
  SampleBook book_;
  SampleBook barriers_;
};

}  // namespace foreplan
