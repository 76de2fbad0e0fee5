#include "profiler/cupti/cupti_session.hpp"

#include <cupti.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "profiler/cupti/activity_records.hpp"
#include "profiler/cupti/check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr auto kExternal = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;

// Calls of both APIs are recorded for the sake of the external numbers, which CUPTI ties to them:
// cuBLASLt launches through the driver's.
constexpr std::array kKinds{
    CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_RUNTIME,
    CUPTI_ACTIVITY_KIND_DRIVER,               CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
    CUPTI_ACTIVITY_KIND_MEMCPY,               CUPTI_ACTIVITY_KIND_MEMCPY2,
    CUPTI_ACTIVITY_KIND_MEMSET,               CUPTI_ACTIVITY_KIND_SYNCHRONIZATION,
    CUPTI_ACTIVITY_KIND_OVERHEAD};

struct Release {
  void operator()(std::uint8_t* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<std::uint8_t, Release>;

Buffer make_buffer() {
  constexpr std::size_t kAlignment = 4096;
  return Buffer(static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kActivityBufferBytes)));
}

class CuptiSession;
// CUPTI calls back without a word on whom for. Set while a session is open.
std::atomic<CuptiSession*> the_session{nullptr};

class CuptiSession final : public ActivitySession {
 public:
  CuptiSession() {
    CuptiSession* nobody = nullptr;
    if (!the_session.compare_exchange_strong(nobody, this)) {
      throw Error(ErrorCode::unavailable, "CUPTI: this process has a session already");
    }
    try {
      check(cuptiSubscribe(&subscriber_, &ignore_callback, nullptr), "cuptiSubscribe");
      subscribed_ = true;
      check(cuptiActivityRegisterCallbacks(&give_buffer, &take_buffer),
            "cuptiActivityRegisterCallbacks");
      for (const CUpti_ActivityKind kind : kKinds) {
        check(cuptiActivityEnable(kind), "cuptiActivityEnable");
        ++enabled_;
      }
    } catch (const Error&) {
      close();
      throw;
    }
  }
  ~CuptiSession() override { close(); }
  CuptiSession(const CuptiSession&) = delete;
  CuptiSession& operator=(const CuptiSession&) = delete;

  void push(std::uint64_t external) override {
    check(cuptiActivityPushExternalCorrelationId(kExternal, external),
          "cuptiActivityPushExternalCorrelationId");
  }
  void pop() override {
    std::uint64_t external = 0;
    check(cuptiActivityPopExternalCorrelationId(kExternal, &external),
          "cuptiActivityPopExternalCorrelationId");
  }

  std::vector<Activity> collect() override {
    check(cuptiActivityFlushAll(0), "cuptiActivityFlushAll");
    const std::scoped_lock lock(mutex_);
    const std::string failure = std::exchange(failure_, {});
    std::vector<Activity> activities = records_.take();
    if (!failure.empty()) throw Error(ErrorCode::failed, failure);
    return activities;
  }

 private:
  static void CUPTIAPI ignore_callback(void*, CUpti_CallbackDomain, CUpti_CallbackId,
                                       const void*) {}

  static void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* records) {
    CuptiSession* const session = the_session.load();
    *buffer = session != nullptr ? session->next_buffer() : make_buffer().release();
    *size = *buffer != nullptr ? kActivityBufferBytes : 0;
    *records = 0;  // as many as fit
  }

  static void CUPTIAPI take_buffer(CUcontext context, std::uint32_t stream, std::uint8_t* buffer,
                                   std::size_t, std::size_t valid) {
    Buffer owned(buffer);
    CuptiSession* const session = the_session.load();
    if (session != nullptr) session->read(context, stream, std::move(owned), valid);
  }

  std::uint8_t* next_buffer() {
    const std::scoped_lock lock(mutex_);
    if (spare_.empty()) return make_buffer().release();
    std::uint8_t* const buffer = spare_.back().release();
    spare_.pop_back();
    return buffer;
  }

  // On a thread of CUPTI's, which must not see an exception: what goes wrong is told by collect().
  void read(CUcontext context, std::uint32_t stream, Buffer buffer, std::size_t valid) {
    const std::scoped_lock lock(mutex_);
    try {
      CUpti_Activity* record = nullptr;
      CUptiResult status = CUPTI_SUCCESS;
      while ((status = cuptiActivityGetNextRecord(buffer.get(), valid, &record)) == CUPTI_SUCCESS) {
        records_.add(*record);
      }
      if (status != CUPTI_ERROR_MAX_LIMIT_REACHED) check(status, "cuptiActivityGetNextRecord");
      std::size_t dropped = 0;
      check(cuptiActivityGetNumDroppedRecords(context, stream, &dropped),
            "cuptiActivityGetNumDroppedRecords");
      if (dropped > 0) failure_ = fmt::format("CUPTI dropped {} records", dropped);
      spare_.push_back(std::move(buffer));
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
  }

  void close() noexcept {
    for (std::size_t i = 0; i < enabled_; ++i) {
      static_cast<void>(cuptiActivityDisable(kKinds[i]));
    }
    if (enabled_ > 0) static_cast<void>(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
    if (subscribed_) static_cast<void>(cuptiUnsubscribe(subscriber_));
    the_session.store(nullptr);
  }

  CUpti_SubscriberHandle subscriber_{};
  bool subscribed_ = false;
  std::size_t enabled_ = 0;
  std::mutex mutex_;  ///< of all below
  ActivityRecords records_;
  std::vector<Buffer> spare_;
  std::string failure_;
};

}  // namespace

std::unique_ptr<ActivitySession> open_cupti_session() { return std::make_unique<CuptiSession>(); }

}  // namespace foreplan
