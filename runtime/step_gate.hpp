#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace foreplan {

/// The clock of everything that the host backend measures.
using HostClock = std::chrono::steady_clock;

/// One way of waiting for something that another thread is about to do: spin, and after a while let
/// others have the core.
class Spinner {
 public:
  /// @param spins  before the core is offered for the first time
  explicit Spinner(int spins) : spins_(spins) {}
  /// Something came: the next wait begins afresh.
  void reset() { count_ = 0; }
  void wait();
  /// Switches that came from offering the core; the system books them as involuntary.
  long offered() const { return offered_; }
  void forget_offered() { offered_ = 0; }

 private:
  int spins_;
  int count_ = 0;
  long offered_ = 0;
};

/// Where the workers of a backend and the thread that runs steps meet.
///
/// Runs count from 1. The caller opens a run and sleeps until all workers have left it; a worker
/// sleeps until a run opens, meets the others at a spinning barrier, works, and leaves. The instant
/// at which the last worker reaches the barrier is the zero of the run.
class StepGate {
 public:
  explicit StepGate(int workers) : workers_(static_cast<std::uint32_t>(workers)) {}

  /// Caller: lets every worker into the next run and sleeps until the last has left it.
  /// @return the number of the run
  std::uint32_t run();
  /// Caller: sends the workers home; `await_run` gives 0 from now on.
  void close();
  /// Caller, after `run`.
  HostClock::time_point zero() const { return zero_; }

  /// Worker: sleeps until a run after `last` opens.
  /// @return its number, 0 once the gate is closed
  std::uint32_t await_run(std::uint32_t last);
  /// Worker: the barrier.
  void meet(std::uint32_t run, Spinner& spinner);
  void leave();
  /// Worker: tells the others that it cannot finish this run.
  void fail() { failed_.store(true, std::memory_order_release); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }

 private:
  static constexpr std::uint32_t kClosed = ~std::uint32_t{0};

  // Each on a cache line of its own: they are written by different threads while others spin.
  alignas(64) std::atomic<std::uint32_t> open_{0};
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> begun_{0};
  alignas(64) std::atomic<std::uint32_t> working_{0};
  alignas(64) std::atomic<bool> failed_{false};
  HostClock::time_point zero_{};
  std::uint32_t workers_;
};

}  // namespace foreplan
