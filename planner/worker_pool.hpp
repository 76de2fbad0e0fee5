#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace foreplan {

/// Threads that work through numbered jobs, the caller among them. Who does what is not told, so jobs must
/// not care.
class WorkerPool {
 public:
  /// @param threads  1: the caller alone
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Calls job(i, worker) for every i < count, each once, and returns when all are done. Jobs throw nothing.
  /// @param job  `worker` is below threads(), and no two jobs have the same at once
  void run(std::size_t count, const std::function<void(std::size_t i, std::size_t worker)>& job);

  std::size_t threads() const { return workers_.size() + 1; }

 private:
  void wait_for_work(std::size_t worker);
  void work(std::size_t worker);

  std::mutex mutex_;
  std::condition_variable begun_, done_;
  const std::function<void(std::size_t, std::size_t)>* job_ = nullptr;
  std::size_t next_ = 0, count_ = 0, busy_ = 0;
  std::size_t round_ = 0;
  bool ending_ = false;
  std::vector<std::jthread> workers_;
};

}  // namespace foreplan
