#include "tests/cuda_emulation/cupti.hpp"

#include <cupti.h>

#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/streams.hpp"

// CUPTI's Activity API over the emulated GPUs: records are written, as CUPTI writes them, into
// buffers that the tool hands out, and handed back full or when it flushes.
namespace foreplan::emulation {
namespace {

struct Cupti {
  bool subscribed = false;
  CUpti_BuffersCallbackRequestFunc give = nullptr;
  CUpti_BuffersCallbackCompleteFunc take = nullptr;
  std::set<CUpti_ActivityKind> enabled;
  std::vector<std::pair<CUpti_ExternalCorrelationKind, std::uint64_t>> external;
  std::uint8_t* buffer = nullptr;
  std::size_t size = 0, used = 0;
};

Cupti& cupti() {
  static Cupti* const it = new Cupti;
  return *it;
}

std::size_t record_size(CUpti_ActivityKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      return sizeof(CUpti_ActivityKernel10);
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      return sizeof(CUpti_ActivityMemcpy6);
    case CUPTI_ACTIVITY_KIND_MEMCPY2:
      return sizeof(CUpti_ActivityMemcpyPtoP4);
    case CUPTI_ACTIVITY_KIND_MEMSET:
      return sizeof(CUpti_ActivityMemset4);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
      return sizeof(CUpti_ActivityExternalCorrelation);
    default:
      return sizeof(CUpti_ActivityAPI);
  }
}

void hand_back() {
  Cupti& c = cupti();
  if (c.buffer == nullptr) return;
  std::uint8_t* const full = std::exchange(c.buffer, nullptr);
  c.take(nullptr, 0, full, c.size, c.used);
}

template <typename Record>
void write(Record record, CUpti_ActivityKind kind) {
  Cupti& c = cupti();
  if (!c.enabled.contains(kind)) return;
  record.kind = kind;
  if (c.buffer != nullptr && c.used + sizeof record > c.size) hand_back();
  if (c.buffer == nullptr) {
    std::size_t most = 0;
    c.give(&c.buffer, &c.size, &most);
    c.size = std::min(c.size, cupti_settings().buffer_bytes);
    c.used = 0;
    if (c.buffer == nullptr) return;
  }
  std::memcpy(c.buffer + c.used, &record, sizeof record);
  c.used += sizeof record;
}

void on_call(std::uint32_t correlation, const char*) {
  // Before the record of the call, as CUPTI does; only where calls are recorded.
  Cupti& c = cupti();
  if (!c.enabled.contains(CUPTI_ACTIVITY_KIND_RUNTIME)) return;
  if (!c.external.empty()) {
    CUpti_ActivityExternalCorrelation external{};
    external.externalKind = c.external.back().first;
    external.externalId = c.external.back().second;
    external.correlationId = correlation;
    write(external, CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION);
  }
  CUpti_ActivityAPI call{};
  call.correlationId = correlation;
  write(call, CUPTI_ACTIVITY_KIND_RUNTIME);
}

template <typename Record>
Record timed(const Executed& executed) {
  Record record{};
  record.start = static_cast<std::uint64_t>(executed.start_ns);
  record.end = static_cast<std::uint64_t>(executed.finish_ns);
  record.deviceId = static_cast<std::uint32_t>(executed.gpu);
  record.streamId = executed.stream;
  record.correlationId = executed.correlation;
  return record;
}

std::uint8_t memory(Side side) {
  return static_cast<std::uint8_t>(side == Side::host ? CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE
                                                      : CUPTI_ACTIVITY_MEMORY_KIND_DEVICE);
}

void on_executed(const Executed& executed) {
  const Description& what = executed.what;
  if (what.kind == Kind::kernel) {
    auto record = timed<CUpti_ActivityKernel10>(executed);
    record.name = "emulated_kernel";
    record.gridX = record.gridY = record.gridZ = 1;
    record.blockX = 256;
    record.blockY = record.blockZ = 1;
    record.registersPerThread = 32;
    write(record, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  } else if (what.kind == Kind::memcpy) {
    auto record = timed<CUpti_ActivityMemcpy6>(executed);
    record.bytes = what.bytes;
    record.srcKind = memory(what.from);
    record.dstKind = memory(what.to);
    write(record, CUPTI_ACTIVITY_KIND_MEMCPY);
  } else if (what.kind == Kind::peer) {
    auto record = timed<CUpti_ActivityMemcpyPtoP4>(executed);
    record.bytes = what.bytes;
    record.srcDeviceId = static_cast<std::uint32_t>(what.source_gpu);
    record.dstDeviceId = static_cast<std::uint32_t>(what.destination_gpu);
    write(record, CUPTI_ACTIVITY_KIND_MEMCPY2);
  } else {
    auto record = timed<CUpti_ActivityMemset4>(executed);
    record.bytes = what.bytes;
    write(record, CUPTI_ACTIVITY_KIND_MEMSET);
  }
}

}  // namespace

CuptiSettings& cupti_settings() {
  static CuptiSettings* const it = new CuptiSettings;
  return *it;
}

}  // namespace foreplan::emulation

using foreplan::emulation::cupti;
using foreplan::emulation::cupti_settings;

extern "C" {

CUptiResult cuptiGetResultString(CUptiResult status, const char** text) {
  *text = status == CUPTI_SUCCESS ? "CUPTI_SUCCESS"
          : status == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED
              ? "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED"
              : "CUPTI_ERROR";
  return CUPTI_SUCCESS;
}
CUptiResult cuptiSubscribe(CUpti_SubscriberHandle*, CUpti_CallbackFunc, void*) {
  if (cupti_settings().held_by_another || cupti().subscribed) {
    return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  }
  cupti().subscribed = true;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle) {
  cupti().subscribed = false;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc give,
                                           CUpti_BuffersCallbackCompleteFunc take) {
  cupti().give = give;
  cupti().take = take;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
  if (cupti_settings().forbidden) return CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
  cupti().enabled.insert(kind);
  foreplan::emulation::settings().on_call = foreplan::emulation::on_call;
  foreplan::emulation::settings().on_executed = foreplan::emulation::on_executed;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
  cupti().enabled.erase(kind);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                   uint64_t id) {
  cupti().external.emplace_back(kind, id);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind, uint64_t* last) {
  if (cupti().external.empty()) return CUPTI_ERROR_QUEUE_EMPTY;
  *last = cupti().external.back().second;
  cupti().external.pop_back();
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityFlushAll(uint32_t) {
  foreplan::emulation::hand_back();
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid, CUpti_Activity** record) {
  auto* at = reinterpret_cast<std::uint8_t*>(*record);
  at = at == nullptr ? buffer
                     : at + foreplan::emulation::record_size(
                                reinterpret_cast<const CUpti_Activity*>(at)->kind);
  if (at >= buffer + valid) return CUPTI_ERROR_MAX_LIMIT_REACHED;
  *record = reinterpret_cast<CUpti_Activity*>(at);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
  *dropped = std::exchange(cupti_settings().dropped, 0);
  return CUPTI_SUCCESS;
}

}  // extern "C"
