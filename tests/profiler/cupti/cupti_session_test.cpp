#include "profiler/cupti/cupti_session.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "profiler/correlate.hpp"
#include "profiler/cupti/activity_records.hpp"
#include "runtime/cuda/cuda_call.hpp"
#include "runtime/cuda/handles.hpp"
#include "sim/error.hpp"
#include "tests/runtime/cuda/gpu.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

template <typename Record>
const CUpti_Activity& plain(const Record& record) {
  return reinterpret_cast<const CUpti_Activity&>(record);
}

// Written as CUPTI writes them; no GPU is needed.
TEST(ActivityRecords, AreCopiedWithTheNumberOfTheirCall) {
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.start = 100, kernel.end = 250;
  kernel.deviceId = 1, kernel.streamId = 7, kernel.correlationId = 42;
  kernel.gridX = 3, kernel.gridY = 2, kernel.gridZ = 1;
  kernel.blockX = 128, kernel.blockY = 2, kernel.blockZ = 1;
  kernel.registersPerThread = 40;
  kernel.staticSharedMemory = 1000, kernel.dynamicSharedMemory = 24;
  kernel.name = "gemm";
  CUpti_ActivityExternalCorrelation external{};
  external.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
  external.externalId = 9, external.correlationId = 42;
  ActivityRecords records;
  records.add(plain(kernel));
  records.add(plain(external));  // may come before or after
  const std::vector<Activity> activities = records.take();
  ASSERT_THAT(activities, SizeIs(1));
  const Activity& a = activities[0];
  EXPECT_EQ(a.kind, Activity::Kind::kernel);
  EXPECT_EQ(a.name, "gemm");
  EXPECT_EQ(a.finish_ns - a.start_ns, 150U);
  EXPECT_EQ(a.gpu, 1U);
  EXPECT_EQ(a.stream, 7U);
  EXPECT_EQ(a.external, 9U);
  EXPECT_EQ(a.blocks, 6U);
  EXPECT_EQ(a.threads, 256U);
  EXPECT_EQ(a.registers, 40U);
  EXPECT_EQ(a.shared_bytes, 1024U);
  EXPECT_THAT(records.take(), SizeIs(0));
}

TEST(ActivityRecords, KnowCopiesMemsetsSynchronisationAndOverhead) {
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.bytes = 4096;
  copy.srcKind = CUPTI_ACTIVITY_MEMORY_KIND_PINNED;
  copy.dstKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  CUpti_ActivityMemcpyPtoP4 peer{};
  peer.kind = CUPTI_ACTIVITY_KIND_MEMCPY2;
  peer.bytes = 8192, peer.srcDeviceId = 2, peer.dstDeviceId = 3;
  CUpti_ActivityMemset4 memset{};
  memset.kind = CUPTI_ACTIVITY_KIND_MEMSET;
  memset.bytes = 16;
  CUpti_ActivitySynchronization2 wait{};
  wait.kind = CUPTI_ACTIVITY_KIND_SYNCHRONIZATION;
  CUpti_ActivityOverhead3 overhead{};
  overhead.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
  overhead.overheadKind = CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH;
  CUpti_ActivityAPI call{};
  call.kind = CUPTI_ACTIVITY_KIND_RUNTIME;
  ActivityRecords records;
  records.add(plain(copy));
  records.add(plain(peer));
  records.add(plain(memset));
  records.add(plain(wait));
  records.add(plain(overhead));
  records.add(plain(call));  // no activity of a GPU
  const std::vector<Activity> a = records.take();
  ASSERT_THAT(a, SizeIs(5));
  EXPECT_EQ(a[0].kind, Activity::Kind::memcpy);
  EXPECT_EQ(a[0].from, Activity::Side::host);
  EXPECT_EQ(a[0].to, Activity::Side::device);
  EXPECT_EQ(a[1].kind, Activity::Kind::peer_memcpy);
  EXPECT_EQ(a[1].source_gpu, 2U);
  EXPECT_EQ(a[1].destination_gpu, 3U);
  EXPECT_EQ(a[2].bytes, 16U);
  EXPECT_EQ(a[3].kind, Activity::Kind::synchronisation);
  EXPECT_EQ(a[4].name, "flushing buffers");
}

class CuptiSession : public GpuTest {};

TEST_F(CuptiSession, TiesKernelsCopiesAndMemsetsToNumbers) {
  const auto session = open_cupti_session();
  const StreamHandle stream = make_stream();
  const GpuMemory memory = make_gpu_memory(4096);
  auto* const at = static_cast<std::byte*>(memory.get());
  const CudaStreamContext context{.multiprocessors = 2};
  const Op add{.key = {.op = "add", .shape = {256}}, .flops = {}, .traffic = {}};
  session->push(11);
  check(cudaMemsetAsync(at, 0, 4096, stream.get()), "cudaMemsetAsync");
  session->pop();
  session->push(12);
  make_cuda_call(context, add, {at, at}, {at + 1024})->enqueue(stream.get());
  session->pop();
  session->push(13);
  check(cudaMemcpyAsync(at + 2048, at, 1024, cudaMemcpyDeviceToDevice, stream.get()),
        "cudaMemcpyAsync");
  session->pop();
  check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  std::vector<Activity> activities = session->collect();
  std::erase_if(activities, [](const Activity& a) { return a.external == 0; });
  std::erase_if(activities, [](const Activity& a) {
    return a.kind == Activity::Kind::synchronisation || a.kind == Activity::Kind::overhead;
  });
  std::sort(activities.begin(), activities.end(),
            [](const Activity& a, const Activity& b) { return a.start_ns < b.start_ns; });
  ASSERT_THAT(activities, SizeIs(3));
  EXPECT_EQ(activities[0].external, 11U);
  EXPECT_EQ(activities[0].kind, Activity::Kind::memset);
  EXPECT_EQ(activities[1].external, 12U);
  EXPECT_EQ(activities[1].kind, Activity::Kind::kernel);
  EXPECT_FALSE(activities[1].name.empty());
  EXPECT_GE(activities[1].threads, 1U);
  EXPECT_EQ(activities[2].external, 13U);
  EXPECT_EQ(activities[2].bytes, 1024U);
  EXPECT_GE(activities[2].start_ns, activities[1].finish_ns);
}

TEST_F(CuptiSession, IsAloneInItsProcess) {
  const auto session = open_cupti_session();
  EXPECT_THAT(rejection([] { open_cupti_session(); }), HasSubstr("a session already"));
}

}  // namespace
}  // namespace foreplan
