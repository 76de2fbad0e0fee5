#include "planner/worker_pool.hpp"

namespace foreplan {

WorkerPool::WorkerPool(int threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { wait_for_work(static_cast<std::size_t>(i)); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  begun_.notify_all();
}

void WorkerPool::work(std::size_t worker) {
  for (;;) {
    std::size_t i = 0;
    {
      const std::lock_guard lock(mutex_);
      if (next_ == count_) return;
      i = next_++;
    }
    (*job_)(i, worker);
  }
}

void WorkerPool::wait_for_work(std::size_t worker) {
  std::size_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    begun_.wait(lock, [&] { return ending_ || round_ != seen; });
    if (ending_) return;
    seen = round_;
    lock.unlock();
    work(worker);
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

void WorkerPool::run(std::size_t count, const std::function<void(std::size_t, std::size_t)>& job) {
  if (workers_.empty() || count == 1) {
    for (std::size_t i = 0; i < count; ++i) job(i, 0);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    job_ = &job;
    next_ = 0;
    count_ = count;
    busy_ = workers_.size();
    ++round_;
  }
  begun_.notify_all();
  work(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return busy_ == 0; });
}

}  // namespace foreplan
