#include "tests/cuda_emulation/kernel_run.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace foreplan::emulation {
namespace {

constexpr std::size_t kWarp = 32;
constexpr std::size_t kMostThreads = 1024;
constexpr std::size_t kStack = 128 * 1024;

enum class State : std::uint8_t { ready, at_block, at_warp, finished };

/// A thread of a block: a stack that outlives the kernels that run on it.
struct Fiber {
  std::unique_ptr<std::byte[]> stack{new std::byte[kStack]};
  ucontext_t begin{};
  jmp_buf place{};
  bool begun = false;
  State state = State::finished;
  std::uint64_t value = 0;
};

class Block {
 public:
  void run(std::size_t threads, const std::function<void()>& body) {
    body_ = &body;
    threads_ = threads;
    while (fibers_.size() < threads) fibers_.push_back(std::make_unique<Fiber>());
    for (std::size_t i = 0; i < threads; ++i) fibers_[i]->state = State::ready;
    do {
      for (std::size_t i = 0; i < threads; ++i) {
        if (fibers_[i]->state == State::ready) resume(i);
      }
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    } while (release());
  }

  /// From a fiber: back to the loop above until released.
  void wait(State state) {
    Fiber& fiber = *fibers_[running_];
    fiber.state = state;
    if (_setjmp(fiber.place) == 0) _longjmp(loop_, 1);
  }

  Fiber& fiber(std::size_t i) { return *fibers_[i]; }
  std::size_t running() const { return running_; }
  std::size_t threads() const { return threads_; }

 private:
  static Block* starting;
  static void serve() {
    Block& block = *starting;
    for (;;) {
      try {
        (*block.body_)();
      } catch (...) {
        block.failure_ = std::current_exception();
      }
      block.wait(State::finished);
    }
  }

  void resume(std::size_t i) {
    running_ = i;
    current().thread.x = static_cast<unsigned>(i);
    if (_setjmp(loop_) != 0) return;
    Fiber& fiber = *fibers_[i];
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    starting = this;
    getcontext(&fiber.begin);
    fiber.begin.uc_stack.ss_sp = fiber.stack.get();
    fiber.begin.uc_stack.ss_size = kStack;
    fiber.begin.uc_link = nullptr;
    makecontext(&fiber.begin, &Block::serve, 0);
    setcontext(&fiber.begin);
  }

  /// Lets those go whose barrier is complete; tells whether anybody has something left to do.
  bool release() {
    bool any = false, open = false;
    for (std::size_t first = 0; first < threads_; first += kWarp) {
      any = release(first, std::min(first + kWarp, threads_), State::at_warp) || any;
    }
    any = release(0, threads_, State::at_block) || any;
    for (std::size_t i = 0; i < threads_; ++i) open = open || fibers_[i]->state != State::finished;
    if (open && !any) throw std::runtime_error("kernel: a barrier that not all threads reach");
    return open;
  }

  bool release(std::size_t first, std::size_t end, State barrier) {
    bool any = false;
    for (std::size_t i = first; i < end; ++i) {
      const State state = fibers_[i]->state;
      if (state != barrier && state != State::finished) return false;
      any = any || state == barrier;
    }
    for (std::size_t i = first; any && i < end; ++i) {
      if (fibers_[i]->state == barrier) fibers_[i]->state = State::ready;
    }
    return any;
  }

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::size_t threads_ = 0, running_ = 0;
  const std::function<void()>* body_ = nullptr;
  jmp_buf loop_{};
  std::exception_ptr failure_;
};

Block* Block::starting = nullptr;

// Stacks are kept for the process: a fiber never returns.
Block& the_block() {
  static Block* const block = new Block;
  return *block;
}

}  // namespace

KernelThread& current() {
  static KernelThread thread;
  return thread;
}

void run_kernel(const dim3& grid, const dim3& block, const std::function<void()>& body) {
  const std::size_t threads = block.x;
  if (threads == 0 || threads > kMostThreads || block.y != 1 || block.z != 1 || grid.x == 0 ||
      grid.y == 0 || grid.z != 1) {
    throw std::runtime_error("kernel: a grid that is not emulated");
  }
  KernelThread& now = current();
  now.block_size = block;
  now.grid_size = grid;
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      now.block = uint3{x, y, 0};
      the_block().run(threads, body);
    }
  }
}

void meet_block() { the_block().wait(State::at_block); }
void meet_warp() { the_block().wait(State::at_warp); }

std::uint64_t pick(std::uint64_t value, unsigned source) {
  Block& block = the_block();
  const std::size_t i = block.running();
  block.fiber(i).value = value;
  meet_warp();
  const std::size_t other = i / kWarp * kWarp + source % kWarp;
  const std::uint64_t seen = block.fiber(other < block.threads() ? other : i).value;
  meet_warp();
  return seen;
}

std::uint64_t exchange(std::uint64_t value, unsigned mask) {
  return pick(value, static_cast<unsigned>(the_block().running() % kWarp) ^ mask);
}

}  // namespace foreplan::emulation
