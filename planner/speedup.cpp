#include "planner/speedup.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "planner/family_search.hpp"
#include "planner/search.hpp"
#include "planner/step_check.hpp"

namespace foreplan {
namespace {

/// Powers of two, and the most.
std::vector<int> device_counts(int most) {
  std::vector<int> counts;
  for (int n = 1; n < most; n *= 2) counts.push_back(n);
  counts.push_back(most);
  return counts;
}

/// Runs act(0) to act(count - 1), each on some thread.
template <typename Act>
void in_parallel(std::size_t count, int threads, Act act) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) act(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

/// Every family, on every number of devices.
class Members {
 public:
  Members(const Task& task, const std::vector<int>& counts, int threads)
      : task_(task), counts_(counts), bounds_(task) {
    members_.resize(kFamilies.size() * counts.size());
    // The slowest to forecast come first, so that no thread is left alone with them.
    in_parallel(members_.size(), threads, [&](std::size_t i) {
      const std::size_t at = counts.size() - 1 - i % counts.size();
      const Family family = kFamilies[kFamilies.size() - 1 - i / counts.size()];
      member(family, at) = best_member(task_, family, counts_[at], bounds_);
    });
  }

  Member& member(Family family, std::size_t at) {
    return members_[static_cast<std::size_t>(family) * counts_.size() + at];
  }

  /// The fastest on the count at `at`; of equals the first family.
  std::optional<Family> fastest(std::size_t at) {
    std::optional<Family> found;
    for (const Family family : kFamilies) {
      const std::optional<Estimate>& best = member(family, at).best;
      if (!best) continue;
      if (!found || best->step_time < member(*found, at).best->step_time) found = family;
    }
    return found;
  }

 private:
  const Task& task_;
  const std::vector<int>& counts_;
  WorkBounds bounds_;
  std::vector<Member> members_;
};

/// What the runtime runs is lowered device by device, all else is folded: told the runtime's collectives, all
/// of it is folded, and families are forecast alike.
Task comparable(Task task) {
  if (plans_to_run(task, 1)) task.collectives = CollectiveAlgorithm::ring;
  return task;
}

SpeedupPoint point_of(Member member, int devices, const std::optional<SpeedupBaseline>& baseline) {
  SpeedupPoint point{.devices = devices,
                     .best = std::move(member.best),
                     .split_from = std::move(member.split_from),
                     .obstacle = member.obstacle,
                     .reason = std::move(member.reason)};
  if (point.best && baseline) {
    point.speedup = seconds(baseline->one_device) / seconds(point.best->step_time);
    point.efficiency = point.speedup / devices;
  }
  return point;
}

}  // namespace

const SpeedupPoint* FamilySpeedup::best() const {
  const SpeedupPoint* found = nullptr;
  for (const SpeedupPoint& point : points) {
    if (!point.best) continue;
    if (found == nullptr || point.best->step_time < found->best->step_time) found = &point;
  }
  return found;
}

const FamilySpeedup* SpeedupTable::best() const {
  const FamilySpeedup* found = nullptr;
  for (const FamilySpeedup& family : families) {
    const SpeedupPoint* point = family.best();
    if (point == nullptr) continue;
    if (found == nullptr || point->best->step_time < found->best()->best->step_time) {
      found = &family;
    }
  }
  return found;
}

SpeedupTable speedup_table(const Task& asked, const SpeedupOptions& options) {
  split_batch({}, asked.global_batch);
  check_step(asked, {});
  const Task task = comparable(asked);
  const int all = task.cluster.devices();
  SpeedupTable table;
  table.devices = device_counts(options.devices == 0 ? all : std::min(options.devices, all));
  Members members(task, table.devices, options.threads);
  for (std::size_t at = 0; at < table.devices.size() && !table.baseline; ++at) {
    if (const auto family = members.fastest(at)) {
      const Duration step = members.member(*family, at).best->step_time;
      table.baseline = {table.devices[at], *family, table.devices[at] * step};
    }
  }
  for (const Family family : kFamilies) {
    const auto& some = options.families;
    const bool shown = some.empty() || std::find(some.begin(), some.end(), family) != some.end();
    if (!shown) continue;
    FamilySpeedup& row = table.families.emplace_back(FamilySpeedup{.family = family, .points = {}});
    for (std::size_t at = 0; at < table.devices.size(); ++at) {
      row.points.push_back(point_of(members.member(family, at), table.devices[at], table.baseline));
    }
  }
  return table;
}

}  // namespace foreplan
