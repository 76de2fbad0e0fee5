#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profiler/cupti/cupti_session.hpp"
#include "runtime/cuda/handles.hpp"
#include "sim/error.hpp"
#include "tests/cuda_emulation/cupti.hpp"
#include "tests/cuda_emulation/streams.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;

class CuptiFailures : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override { reset(); }
  static void reset() {
    emulation::reset();
    emulation::cupti_settings() = {};
  }
};

TEST_F(CuptiFailures, SaysThatAnotherProfilerHoldsCupti) {
  emulation::cupti_settings().held_by_another = true;
  EXPECT_THAT(rejection([] { open_cupti_session(); }), HasSubstr("another profiler holds CUPTI"));
  emulation::cupti_settings().held_by_another = false;
  EXPECT_EQ(rejection([] { open_cupti_session(); }), "accepted");
}

TEST_F(CuptiFailures, SaysThatTheDriverForbidsProfiling) {
  emulation::cupti_settings().forbidden = true;
  EXPECT_THAT(rejection([] { open_cupti_session(); }), HasSubstr("only administrators"));
  emulation::cupti_settings().forbidden = false;
  EXPECT_EQ(rejection([] { open_cupti_session(); }), "accepted");  // the failure let go of everything
}

TEST_F(CuptiFailures, ADropIsAnError) {
  const auto session = open_cupti_session();
  emulation::cupti_settings().dropped = 3;
  const StreamHandle stream = make_stream();
  const GpuMemory memory = make_gpu_memory(64);
  check(cudaMemsetAsync(memory.get(), 0, 64, stream.get()), "cudaMemsetAsync");
  check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  EXPECT_EQ(rejection([&] { session->collect(); }), "CUPTI dropped 3 records");
  EXPECT_TRUE(session->collect().empty());
}

// 100 memsets of some 100 bytes a record, in buffers that hold two or three.
TEST_F(CuptiFailures, NothingIsLostInSmallBuffers) {
  emulation::cupti_settings().buffer_bytes = 300;
  const auto session = open_cupti_session();
  const StreamHandle stream = make_stream();
  const GpuMemory memory = make_gpu_memory(64);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    session->push(i);
    check(cudaMemsetAsync(memory.get(), 0, 64, stream.get()), "cudaMemsetAsync");
    session->pop();
  }
  check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  const std::vector<Activity> activities = session->collect();
  ASSERT_EQ(activities.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(activities[i].external, i + 1);
}

}  // namespace
}  // namespace foreplan
