#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/units.hpp"

namespace foreplan {

/// What a task wants of the processor that it runs on, as shares of the whole: of its multiprocessors
/// (the places for blocks of threads) and of its memory bandwidth.
struct Demand {
  double multiprocessors = 1;
  double bandwidth = 0;
  /// Communication: has its shares whatever else runs, and kernels share the rest. A copy engine's
  /// copy holds no multiprocessors.
  bool holds = false;
  /// Of communication: how many times as long it takes while kernels run beside it, at least 1.
  double slowdown = 1;
  friend bool operator==(const Demand&, const Demand&) = default;
};

/// Tasks that run on one processor at the same time, on several streams or by several logical devices.
///
/// Kernels share what communication leaves. Let C and M be the sums of what running kernels want of
/// multiprocessors and bandwidth, sigma and mu what running communication holds of them. Then
///
///   rate of each kernel        = 1 / max(1, C / (1 - sigma), M / (1 - mu))
///   rate of each communication = 1 / slowdown where kernels run, 1 where none does
///
/// so that without communication all kernels are slowed alike, and a processor never does more than
/// it can and does not idle while it is wanted. Of n communications and some kernels, no more than
/// n / (n + 1) is held of either resource: where they want more, they are slowed to that, and where no
/// kernel runs, to the whole. A GPU hands out its multiprocessors block by block and not in shares;
/// over tasks of many blocks the two agree.
/// Source: docs/simulation.md, "Overlap".
class ProcessorSharing {
 public:
  explicit ProcessorSharing(std::size_t processors) : processors_(processors) {}

  /// A task, by a number of the caller's: small and used again.
  struct Entry {
    std::int32_t number = 0;
    std::int32_t processor = 0;
    Demand demand;
    Duration work{};  ///< how long it takes alone
  };
  void begin(const Entry& entry, Duration now);
  void end(std::int32_t number, std::int32_t processor, Duration now);
  void clear();

  struct Due {
    std::int32_t number = 0;
    double rate = 1;
    Duration at{};  ///< when its work is done
  };
  /// The tasks on processors on which some began or ended since the last call; valid until the next.
  std::span<const Due> reschedule(Duration now);

 private:
  struct Running {
    std::int32_t number = 0;
    Demand demand;
    double rate = 1;
    long double left = 0;  ///< picoseconds alone
  };
  struct Processor {
    std::vector<Running> running;
    Duration since{};
    bool changed = false;
  };
  Processor& processor(std::int32_t number) {
    return processors_[static_cast<std::size_t>(number)];
  }
  static void progress(Processor& processor, Duration now);
  static void share(Processor& processor);
  void mark(std::int32_t number);

  std::vector<Processor> processors_;
  std::vector<std::int32_t> changed_;
  std::vector<Due> due_;
};

}  // namespace foreplan
