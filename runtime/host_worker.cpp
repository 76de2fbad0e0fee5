#include "runtime/host_worker.hpp"

#include <cstring>
#include <exception>

#include "runtime/host_thread.hpp"

namespace foreplan {

HostWorker::HostWorker(StepGate& gate, int core, int spins)
    : gate_(gate), spinner_(spins), thread_([this, core] { serve(core); }) {}

HostWorker::~HostWorker() { thread_.join(); }

void HostWorker::serve(int core) {
  pin_this_thread(core);
  const SingleThreadedOpenMp single;
  for (std::uint32_t run = gate_.await_run(0); run != 0; run = gate_.await_run(run)) {
    failure_.clear();
    spinner_.forget_offered();
    const long before = involuntary_switches();
    gate_.meet(run, spinner_);
    try {
      replay(run);
    } catch (const std::exception& error) {
      failure_ = error.what();
      gate_.fail();
    }
    disturbed_ = involuntary_switches() - before > spinner_.offered();
    gate_.leave();
  }
}

void HostWorker::replay(std::uint32_t run) {
  std::size_t open = 0;
  for (HostStream& stream : streams_) {
    stream.next = 0;
    if (!stream.commands.empty()) ++open;
  }
  spinner_.reset();
  while (open > 0) {
    bool moved = false;
    for (HostStream& stream : streams_) {
      if (stream.next == stream.commands.size() || !advance(stream, run)) continue;
      moved = true;
      if (stream.next == stream.commands.size()) --open;
    }
    if (moved) {
      spinner_.reset();
    } else if (gate_.failed()) {
      return;
    } else {
      spinner_.wait();
    }
  }
}

// Runs up to one call or copy, with the waits before it and the records behind it.
bool HostWorker::advance(HostStream& stream, std::uint32_t run) {
  const std::size_t first = stream.next;
  bool worked = false;
  for (; stream.next < stream.commands.size(); ++stream.next) {
    HostCommand& command = stream.commands[stream.next];
    if (command.kind == HostCommand::Kind::record) {
      command.event->run.store(run, std::memory_order_release);
    } else if (worked) {
      break;
    } else if (command.kind == HostCommand::Kind::wait) {
      if (command.event->run.load(std::memory_order_acquire) != run) break;
    } else {
      execute(command);
      worked = true;
    }
  }
  return stream.next != first;
}

void HostWorker::execute(HostCommand& command) {
  task_ = command.task;
  command.start = HostClock::now();
  if (command.kind == HostCommand::Kind::call) {
    command.call->run(context_);
  } else if (command.size > 0) {
    std::memcpy(command.to, command.from, command.size);
  }
  command.finish = HostClock::now();
}

}  // namespace foreplan
