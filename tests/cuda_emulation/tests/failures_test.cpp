#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/cuda/cuda_backend.hpp"
#include "sim/error.hpp"
#include "tests/cuda_emulation/streams.hpp"
#include "tests/runtime/rejection.hpp"

// What no GPU does on demand: calls that fail, machines without a GPU or without peer access.
namespace foreplan {
namespace {

using testing::HasSubstr;

const Op kAdd{.key = {.op = "add", .shape = {1}}, .flops = {}, .traffic = {}};

class CudaFailures : public testing::Test {
 protected:
  void SetUp() override { emulation::reset(); }
  void TearDown() override { emulation::reset(); }

  /// The message of a step in which `call` fails.
  static std::string failure(const std::string& call, bool graph = false) {
    CudaBackend backend({.devices = 2, .graph = graph, .workspace_bytes = 1 << 16});
    for (int i = 0; i < 2; ++i) backend.reserve(DeviceId{i}, Bytes{64});
    const BackendStream stream = backend.add_stream(DeviceId{1});
    std::byte* const at = backend.address(DeviceId{1}, Bytes{0});
    backend.launch(stream, TaskId{0}, kAdd, {at, at}, {at});
    backend.copy(stream, TaskId{1}, backend.address(DeviceId{0}, Bytes{0}), at, Bytes{16});
    emulation::settings().failing_call = call;
    const std::string what = rejection([&] { backend.run(2, {}); });
    emulation::reset();
    return what;
  }
};

TEST_F(CudaFailures, NameTheCallTheDeviceAndTheTask) {
  EXPECT_THAT(failure("cudaLaunchKernel"), HasSubstr("device 1, task 0: cudaLaunchKernel: "));
  EXPECT_THAT(failure("cudaMemcpyPeerAsync"), HasSubstr("device 1, task 1: cudaMemcpyPeerAsync: "));
  EXPECT_THAT(failure("cudaStreamSynchronize"), HasSubstr("cudaStreamSynchronize: unknown error"));
  EXPECT_THAT(failure("cudaGraphInstantiate", true), HasSubstr("cudaGraphInstantiate"));
  EXPECT_THAT(failure("cudaLaunchKernel", true), HasSubstr("device 1, task 0: cudaLaunchKernel"));
}

TEST_F(CudaFailures, NoGpuIsUnavailable) {
  emulation::settings().gpus = 0;
  try {
    CudaBackend backend({.devices = 1});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_STREQ(error.what(),
                 "backend cuda: cudaGetDeviceCount: no CUDA-capable device is detected");
  }
}

TEST_F(CudaFailures, WithoutPeerAccessCopiesAreStaged) {
  emulation::settings().peer_access = false;
  CudaBackend backend({.devices = 3});
  EXPECT_EQ(backend.copy_path(DeviceId{0}, DeviceId{1}), CopyPath::staged);
  EXPECT_EQ(backend.copy_path(DeviceId{0}, DeviceId{2}), CopyPath::same_gpu);
}

TEST_F(CudaFailures, TooLittleMemoryIsSaid) {
  CudaBackend backend({.devices = 1});
  emulation::settings().failing_call = "cudaMallocFromPoolAsync";
  EXPECT_THAT(rejection([&] { backend.reserve(DeviceId{0}, Bytes{64}); }),
              HasSubstr("cudaMallocFromPoolAsync"));
}

}  // namespace
}  // namespace foreplan
