#pragma once

#include <memory>
#include <vector>

#include "profiler/session.hpp"
#include "runtime/executor.hpp"
#include "runtime/host_backend.hpp"

namespace foreplan {

/// The profiler's Session on this machine's cores: each graph has a backend of its own, whose threads
/// sleep while others run. Buffers begin as `fill` leaves them; the learning rate is zero.
class HostSession final : public Session {
 public:
  explicit HostSession(int devices) : devices_(devices) {}
  int devices() const override { return devices_; }
  std::size_t load(const TaskGraph& graph) override;
  void unload(std::size_t loaded) override { loaded_.at(loaded).reset(); }
  MeasuredStep step(std::size_t loaded) override;

 private:
  struct Loaded {
    explicit Loaded(const TaskGraph& source)
        : graph(source), backend(graph.devices), executor(graph, backend) {}
    TaskGraph graph;
    HostBackend backend;
    Executor executor;
    std::int64_t steps = 0;
  };

  int devices_;
  std::vector<std::unique_ptr<Loaded>> loaded_;
};

}  // namespace foreplan
