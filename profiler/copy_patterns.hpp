#pragma once

#include <string>
#include <vector>

#include "profiler/session.hpp"
#include "sim/profile.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// Copies at the same time, and what for.
struct CopyPattern {
  std::string name;  ///< "one way", "both ways", "one to all", "all to one", "pairs", "ring"
  std::vector<ProfiledCopies::Pair> pairs;
};

/// Every ordered pair of `devices`, a device with itself included, one way.
std::vector<CopyPattern> lone_copies(int devices);

/// What shows who shares what: every pair both ways; one device to all others and all others to one;
/// devices in neighbouring pairs, and in a ring.
std::vector<CopyPattern> copies_together(int devices);

/// 4 KiB to `most` by powers of four, and `most`.
std::vector<Bytes> copy_sizes(Bytes most);

/// A graph in which one device pulls blocks of each of `sizes` from another (or copies within itself),
/// `repeats` times each, and nobody else does anything.
TaskGraph lone_copy_graph(int devices, const ProfiledCopies::Pair& pair,
                          const std::vector<Bytes>& sizes, int repeats);

/// A graph in which each pair of a pattern copies `bytes`, `repeats` times in a stream of its own.
TaskGraph pattern_graph(int devices, const CopyPattern& pattern, Bytes bytes, int repeats);

/// The mean time of one copy of the pattern while all run, over `steps` steps; the first and the last of
/// each pair's, which may run alone, are left out where there are more than two.
ProfiledCopies measure_pattern(Session& session, const CopyPattern& pattern, Bytes bytes,
                               int steps);

}  // namespace foreplan
