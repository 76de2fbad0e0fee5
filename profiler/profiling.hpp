#pragma once

#include <cstddef>
#include <cstdint>
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
  /// Where one thread issues ahead of the devices (Session::issues_ahead): what each device copies
  /// before gaps are measured, so that the thread is ahead by then.
  Bytes head_start = 512_MB;
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
  void add_sequence(TaskGraph graph) {
    add(std::move(graph), session_.issues_ahead() ? Tells::work : Tells::everything);
  }
  /// Copies and adds of these sizes, hand-over, barrier and all-reduces; nothing with one device.
  ///
  /// Devices that one thread issues ahead to may be logical ones, which slow each other down: there
  /// copies run one at a time, every ordered pair by itself, and the adds apart from them; and with one
  /// device there is still the gap between dependent tasks.
  void add_communication(const CopySizes& sizes);

  /// Runs every graph for a turn. `progress` is told how many of how many are done.
  void round(const std::function<void(std::size_t done, std::size_t all)>& progress);

  /// Gives back the graphs' memory; what was measured stays.
  void unload();

  /// All rounds so far, summarised and fitted.
  Profile profile(const Profile::Device& device) const;

 private:
  /// What is taken from a graph's steps.
  enum class Tells : std::uint8_t { everything, work, gaps, barrier };
  struct Turn {
    TaskGraph graph;
    std::size_t loaded = 0;
    int steps = 1;
    Tells tells{};
  };
  void add(TaskGraph graph, Tells tells);
  void add_copies_apart(const CopySizes& sizes);
  void count(const Turn& turn, const MeasuredStep& step);

  Session& session_;
  ProfilingOptions options_;
  std::vector<Turn> turns_;
  SampleBook book_;
  SampleBook gaps_;  ///< where one thread issues ahead
  SampleBook barriers_;
};

}  // namespace foreplan
