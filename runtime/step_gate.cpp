#include "runtime/step_gate.hpp"

#include <sched.h>

#include "runtime/host_thread.hpp"

namespace foreplan {

void Spinner::wait() {
  if (count_ < spins_) {
    ++count_;
    relax_cpu();
    return;
  }
  const long before = involuntary_switches();
  sched_yield();
  offered_ += involuntary_switches() - before;
}

std::uint32_t StepGate::run() {
  arrived_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  working_.store(workers_, std::memory_order_relaxed);
  const std::uint32_t run = open_.load(std::memory_order_relaxed) + 1;
  open_.store(run, std::memory_order_release);
  open_.notify_all();
  for (std::uint32_t left = workers_; left != 0; left = working_.load(std::memory_order_acquire)) {
    working_.wait(left, std::memory_order_acquire);
  }
  return run;
}

void StepGate::close() {
  open_.store(kClosed, std::memory_order_release);
  open_.notify_all();
}

std::uint32_t StepGate::await_run(std::uint32_t last) {
  open_.wait(last, std::memory_order_acquire);
  const std::uint32_t run = open_.load(std::memory_order_acquire);
  return run == kClosed ? 0 : run;
}

void StepGate::meet(std::uint32_t run, Spinner& spinner) {
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == workers_) {
    zero_ = HostClock::now();
    begun_.store(run, std::memory_order_release);
    return;
  }
  spinner.reset();
  while (begun_.load(std::memory_order_acquire) != run) spinner.wait();
}

void StepGate::leave() {
  if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
}

}  // namespace foreplan
