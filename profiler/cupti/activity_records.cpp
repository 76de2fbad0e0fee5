#include "profiler/cupti/activity_records.hpp"

#include <utility>

namespace foreplan {
namespace {

/// A record that CUPTI says to be of this kind, as what it is.
template <typename Record>
const Record& as(const CUpti_Activity& record) {
  return reinterpret_cast<const Record&>(record);
}

Activity::Side side(std::uint8_t memory) {
  switch (memory) {
    case CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE:
    case CUPTI_ACTIVITY_MEMORY_KIND_PINNED:
      return Activity::Side::host;
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE:
    case CUPTI_ACTIVITY_MEMORY_KIND_ARRAY:
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE_STATIC:
      return Activity::Side::device;
    default:
      return Activity::Side::unknown;
  }
}

/// What all records of work on a stream have in common.
template <typename Record>
Activity on_stream(const Record& record, Activity::Kind kind) {
  Activity activity;
  activity.kind = kind;
  activity.start_ns = record.start;
  activity.finish_ns = record.end;
  activity.gpu = record.deviceId;
  activity.stream = record.streamId;
  activity.correlation = record.correlationId;
  return activity;
}

Activity of_kernel(const CUpti_ActivityKernel10& record) {
  Activity activity = on_stream(record, Activity::Kind::kernel);
  if (record.name != nullptr) activity.name = record.name;
  activity.blocks = static_cast<std::uint32_t>(record.gridX) *
                    static_cast<std::uint32_t>(record.gridY) *
                    static_cast<std::uint32_t>(record.gridZ);
  activity.threads = static_cast<std::uint32_t>(record.blockX) *
                     static_cast<std::uint32_t>(record.blockY) *
                     static_cast<std::uint32_t>(record.blockZ);
  activity.registers = record.registersPerThread;
  activity.shared_bytes =
      static_cast<std::uint32_t>(record.staticSharedMemory + record.dynamicSharedMemory);
  return activity;
}

Activity of_memcpy(const CUpti_ActivityMemcpy6& record) {
  Activity activity = on_stream(record, Activity::Kind::memcpy);
  activity.bytes = record.bytes;
  activity.from = side(record.srcKind);
  activity.to = side(record.dstKind);
  return activity;
}

Activity of_peer_memcpy(const CUpti_ActivityMemcpyPtoP4& record) {
  Activity activity = on_stream(record, Activity::Kind::peer_memcpy);
  activity.bytes = record.bytes;
  activity.from = Activity::Side::device;
  activity.to = Activity::Side::device;
  activity.source_gpu = record.srcDeviceId;
  activity.destination_gpu = record.dstDeviceId;
  return activity;
}

Activity of_memset(const CUpti_ActivityMemset4& record) {
  Activity activity = on_stream(record, Activity::Kind::memset);
  activity.bytes = record.bytes;
  return activity;
}

Activity of_synchronisation(const CUpti_ActivitySynchronization2& record) {
  Activity activity;
  activity.kind = Activity::Kind::synchronisation;
  activity.start_ns = record.start;
  activity.finish_ns = record.end;
  activity.stream = record.streamId;
  activity.correlation = record.correlationId;
  return activity;
}

const char* overhead_name(CUpti_ActivityOverheadKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_OVERHEAD_DRIVER_COMPILER: return "compiling";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH: return "flushing buffers";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION: return "instrumentation";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE: return "resources";
    default: return "other";
  }
}

Activity of_overhead(const CUpti_ActivityOverhead3& record) {
  Activity activity;
  activity.kind = Activity::Kind::overhead;
  activity.start_ns = record.start;
  activity.finish_ns = record.end;
  activity.correlation = record.correlationId;
  activity.name = overhead_name(record.overheadKind);
  return activity;
}

}  // namespace

void ActivityRecords::add(const CUpti_Activity& record) {
  switch (record.kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      activities_.push_back(of_kernel(as<CUpti_ActivityKernel10>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      activities_.push_back(of_memcpy(as<CUpti_ActivityMemcpy6>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_MEMCPY2:
      activities_.push_back(of_peer_memcpy(as<CUpti_ActivityMemcpyPtoP4>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_MEMSET:
      activities_.push_back(of_memset(as<CUpti_ActivityMemset4>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION:
      activities_.push_back(of_synchronisation(as<CUpti_ActivitySynchronization2>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
      activities_.push_back(of_overhead(as<CUpti_ActivityOverhead3>(record)));
      break;
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      const auto& external = as<CUpti_ActivityExternalCorrelation>(record);
      external_[external.correlationId] = external.externalId;
      break;
    }
    default:
      break;
  }
}

std::vector<Activity> ActivityRecords::take() {
  for (Activity& activity : activities_) {
    const auto external = external_.find(activity.correlation);
    if (external != external_.end()) activity.external = external->second;
  }
  external_.clear();
  return std::exchange(activities_, {});
}

}  // namespace foreplan
