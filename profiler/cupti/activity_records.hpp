#pragma once

#include <cupti.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "profiler/activity.hpp"

namespace foreplan {

/// Records of CUPTI, copied into plain values one by one; the buffer that they lie in may go at once.
class ActivityRecords {
 public:
  /// Kinds that are no activity of a GPU (calls of the API, for instance) are passed over.
  void add(const CUpti_Activity& record);
  /// Everything since the last call, each with the external number of its call.
  std::vector<Activity> take();

 private:
  std::vector<Activity> activities_;
  std::unordered_map<std::uint32_t, std::uint64_t> external_;  ///< by correlation
};

}  // namespace foreplan
