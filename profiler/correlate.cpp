#include "profiler/correlate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

bool runs_on_gpu(const Activity& activity) {
  return activity.kind != Activity::Kind::synchronisation &&
         activity.kind != Activity::Kind::overhead;
}

/// What is known of one task so far.
struct TaskRecord {
  std::uint64_t start_ns = kNever, finish_ns = 0;
  double kernel_ns = 0, share_ns = 0;
  int launches = 0;
};

void check(const Activity& activity, std::size_t tasks, std::size_t gpus) {
  const auto fail = [](const std::string& what) { throw Error(ErrorCode::failed, what); };
  if (activity.external > tasks) {
    fail(fmt::format("activity records: expected a task below {}, got {} ({})", tasks,
                     activity.external - 1, activity.name));
  }
  if (activity.gpu >= gpus) {
    fail(fmt::format("activity records: expected one of {} GPUs, got GPU {}", gpus, activity.gpu));
  }
  if (activity.finish_ns < activity.start_ns) {
    fail(fmt::format("activity records: task {} ends before it starts ({} ns, {} ns)",
                     activity.external - 1, activity.start_ns, activity.finish_ns));
  }
}

void add(TaskRecord& task, const Activity& activity, const MultiprocessorLimits& limits) {
  task.start_ns = std::min(task.start_ns, activity.start_ns);
  task.finish_ns = std::max(task.finish_ns, activity.finish_ns);
  ++task.launches;
  if (activity.kind != Activity::Kind::kernel) return;
  const auto length = static_cast<double>(activity.finish_ns - activity.start_ns);
  task.kernel_ns += length;
  task.share_ns += length * multiprocessor_share(activity, limits);
}

Duration since(std::uint64_t zero, std::uint64_t instant) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(instant - zero));
}

}  // namespace

MeasuredStep correlate(const std::vector<Activity>& activities, std::size_t tasks,
                       const std::vector<MultiprocessorLimits>& limits) {
  std::vector<TaskRecord> records(tasks);
  std::uint64_t zero = kNever;
  for (const Activity& activity : activities) {
    if (!runs_on_gpu(activity) || activity.external == 0) continue;
    check(activity, tasks, limits.size());
    add(records[activity.external - 1], activity, limits[activity.gpu]);
    zero = std::min(zero, activity.start_ns);
  }
  MeasuredStep step;
  step.timeline.start.resize(tasks);
  step.timeline.finish.resize(tasks);
  step.multiprocessors.resize(tasks);
  step.launches.resize(tasks);
  for (std::size_t i = 0; i < tasks; ++i) {
    const TaskRecord& record = records[i];
    step.launches[i] = record.launches;
    if (record.start_ns == kNever) continue;
    step.timeline.start[i] = since(zero, record.start_ns);
    step.timeline.finish[i] = since(zero, record.finish_ns);
    if (record.kernel_ns > 0) step.multiprocessors[i] = record.share_ns / record.kernel_ns;
  }
  return step;
}

}  // namespace foreplan
